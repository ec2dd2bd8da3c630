#include "heap.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A block is a header word and a payload. Headers lie at 4 modulo 8, so that payloads are aligned to 8.

     header    size of the payload (a multiple of 8, plus 4) | FREE | BEFORE_IS_FREE
     payload   in use: the caller's
               free: next and previous block of its list, ..., and in the last word its own size again, by which the
               block after it finds its header

   The heap ends in a header of size 0 that is in use, so that every block has one after it. What lies beyond is not
   in any list: a block is made there when no list has one, and the last block goes back there when it is freed. New
   blocks therefore lie side by side, on as few pages as they fit. */
typedef struct Block {
    uint32_t header;
    struct Block *next; /* from here on only in free blocks */
    struct Block *previous;
} Block;

enum {
    FREE = 1,
    BEFORE_IS_FREE = 2,
    FLAGS = FREE | BEFORE_IS_FREE,
    HEADER = 4,
    PAYLOAD_MIN = 12,        /* two links and the size at the end */
    LINEAR_BELOW = 128,      /* one list for each size below, sixteen for each power of two above */
    LISTS_LOG2 = 4,
    LISTS = 1 << LISTS_LOG2,
    LEVELS = 26,             /* 128 << 25 is 4 GiB */
    WASM_PAGE = 65536,
    GROW_BYTES = 1 << 20,    /* memory.grow costs microseconds, and pages that nobody touches cost nothing */
    SEAL_PAGE = 4096,        /* the host's page */
};
static const size_t SIZE_MAX_BYTES = 1u << 31;

static Block *lists[LEVELS][LISTS];
static uint32_t levels_in_use;          /* a bit for each level with a free block */
static uint32_t lists_in_use[LEVELS];   /* a bit for each list of a level */
static Block *end;                      /* the header of size 0 */

extern unsigned char __heap_base; /* the linker's: the end of the static data */

static uint32_t size_of(const Block *block)
{
    return block->header & ~FLAGS;
}

static void *payload_of(Block *block)
{
    return (uint8_t *)block + HEADER;
}

static Block *block_of(const void *payload)
{
    return (Block *)((uint8_t *)payload - HEADER);
}

static Block *after(Block *block)
{
    return (Block *)((uint8_t *)block + HEADER + size_of(block));
}

/* Only when BEFORE_IS_FREE. */
static Block *before(Block *block)
{
    uint32_t size = *((uint32_t *)block - 1);
    return (Block *)((uint8_t *)block - size - HEADER);
}

static void find_list(uint32_t size, uint32_t *level, uint32_t *list)
{
    if (size < LINEAR_BELOW) {
        *level = 0;
        *list = size / (LINEAR_BELOW / LISTS);
        return;
    }
    uint32_t log2 = 31 - __builtin_clz(size);
    *level = log2 - 6; /* 128 is the first of level 1 */
    *list = size >> (log2 - LISTS_LOG2) & (LISTS - 1);
}

/* ---- free blocks ------------------------------------------------------------------------------------------------- */

static void link_free(Block *block, uint32_t size)
{
    uint32_t level, list;
    find_list(size, &level, &list);
    block->header = size | FREE | (block->header & BEFORE_IS_FREE);
    block->previous = NULL;
    block->next = lists[level][list];
    if (block->next)
        block->next->previous = block;
    lists[level][list] = block;
    levels_in_use |= 1u << level;
    lists_in_use[level] |= 1u << list;
    Block *following = after(block);
    *((uint32_t *)following - 1) = size;
    following->header |= BEFORE_IS_FREE;
}

static void unlink_free(Block *block)
{
    uint32_t level, list;
    find_list(size_of(block), &level, &list);
    if (block->next)
        block->next->previous = block->previous;
    if (block->previous) {
        block->previous->next = block->next;
    } else {
        lists[level][list] = block->next;
        if (!block->next) {
            lists_in_use[level] &= ~(1u << list);
            if (!lists_in_use[level])
                levels_in_use &= ~(1u << level);
        }
    }
    block->header &= ~FREE;
    after(block)->header &= ~BEFORE_IS_FREE;
}

/* A free block of at least this size, unlinked, or NULL. Takes from the first list whose every block is large enough:
   no list is searched. */
static Block *take_free(uint32_t size)
{
    uint32_t level, list, wanted = size;
    if (size >= LINEAR_BELOW)
        wanted += (1u << (31 - __builtin_clz(size) - LISTS_LOG2)) - 1;
    find_list(wanted, &level, &list);
    if (level >= LEVELS)
        return NULL;
    uint32_t fitting = lists_in_use[level] & ~0u << list;
    if (!fitting) {
        uint32_t higher = level + 1 < 32 ? levels_in_use & ~0u << (level + 1) : 0;
        if (!higher)
            return NULL;
        level = __builtin_ctz(higher);
        fitting = lists_in_use[level];
    }
    Block *block = lists[level][__builtin_ctz(fitting)];
    unlink_free(block);
    return block;
}

/* Makes a block in use free, or part of what lies beyond the end. */
static void release(Block *block)
{
    uint32_t size = size_of(block);
    Block *following = after(block);
    if (following->header & FREE) {
        unlink_free(following);
        size += HEADER + size_of(following);
    }
    if (block->header & BEFORE_IS_FREE) {
        Block *earlier = before(block);
        unlink_free(earlier);
        size += HEADER + size_of(earlier);
        block = earlier;
    }
    if (following == end) {
        end = block;
        end->header = 0; /* the block before it is in use: else it would have been joined */
        return;
    }
    link_free(block, size);
}

/* Gives back what a block in use has beyond this size. */
static void trim(Block *block, uint32_t size)
{
    uint32_t rest = size_of(block) - size;
    if (rest < HEADER + PAYLOAD_MIN)
        return;
    block->header = size | (block->header & BEFORE_IS_FREE);
    Block *spare = after(block);
    spare->header = rest - HEADER;
    release(spare);
}

/* ---- linear memory ----------------------------------------------------------------------------------------------- */

static bool grow_pages(size_t bytes)
{
    return __builtin_wasm_memory_grow(0, (bytes + WASM_PAGE - 1) / WASM_PAGE) != (size_t)-1;
}

static uintptr_t memory_limit(void)
{
    return (uintptr_t)__builtin_wasm_memory_size(0) * WASM_PAGE;
}

/* Moves the end of the heap up; false when there is no memory. */
static bool extend(uint32_t bytes)
{
    uintptr_t room = memory_limit() - (uintptr_t)end - HEADER;
    size_t missing = bytes > room ? bytes - room : 0;
    if (missing && !(missing <= GROW_BYTES && grow_pages(GROW_BYTES)) && !grow_pages(missing))
        return false;
    end = (Block *)((uint8_t *)end + bytes);
    end->header = 0;
    return true;
}

/* A block in use at the end of the heap, or NULL. */
static Block *take_end(uint32_t size)
{
    if (!end) {
        end = (Block *)(((uintptr_t)&__heap_base + 7) / 8 * 8 + HEADER);
        end->header = 0;
    }
    Block *block = end;
    if (!extend(HEADER + size))
        return NULL;
    block->header = size;
    return block;
}

/* ---- the interface ----------------------------------------------------------------------------------------------- */

/* The payload of a request: a multiple of 8, plus the 4 that the next header leaves. */
static uint32_t payload_size(size_t size)
{
    return size <= PAYLOAD_MIN ? PAYLOAD_MIN : (uint32_t)((size + 3) / 8 * 8 + 4);
}

void *heap_alloc(size_t size)
{
    if (size >= SIZE_MAX_BYTES)
        return NULL;
    uint32_t wanted = payload_size(size);
    Block *block = take_free(wanted);
    if (block)
        trim(block, wanted);
    else
        block = take_end(wanted);
    return block ? payload_of(block) : NULL;
}

void heap_free(void *payload)
{
    if (payload)
        release(block_of(payload));
}

void *heap_resize(void *payload, size_t size)
{
    if (!payload)
        return heap_alloc(size);
    if (size >= SIZE_MAX_BYTES)
        return NULL;
    Block *block = block_of(payload);
    uint32_t wanted = payload_size(size), have = size_of(block);
    if (wanted > have) {
        Block *following = after(block);
        if (following == end && extend(wanted - have)) {
            block->header = wanted | (block->header & BEFORE_IS_FREE);
            return payload;
        }
        if (!(following->header & FREE) || have + HEADER + size_of(following) < wanted) {
            void *moved = heap_alloc(size);
            if (!moved)
                return NULL;
            memcpy(moved, payload, have);
            heap_free(payload);
            return moved;
        }
        unlink_free(following);
        block->header = (have + HEADER + size_of(following)) | (block->header & BEFORE_IS_FREE);
    }
    trim(block, wanted);
    return payload;
}

size_t heap_seal(void)
{
    for (uint32_t level = 0; level < LEVELS; level++) {
        for (uint32_t list = 0; list < LISTS; list++) {
            while (lists[level][list]) {
                Block *hole = lists[level][list];
                unlink_free(hole); /* in use from now on, by nobody */
                memset(payload_of(hole), 0, size_of(hole));
            }
        }
    }
    uintptr_t page = ((uintptr_t)end + PAYLOAD_MIN + SEAL_PAGE - 1) / SEAL_PAGE * SEAL_PAGE;
    take_end(page - (uintptr_t)end);
    memset((uint8_t *)end + HEADER, 0, memory_limit() - (uintptr_t)end - HEADER);
    return page;
}

size_t heap_size_of(const void *payload)
{
    return payload ? size_of(block_of(payload)) : 0;
}

char *heap_copy_text(const char *text, size_t max_bytes)
{
    size_t length = strnlen(text, max_bytes);
    char *copy = heap_alloc(length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}
