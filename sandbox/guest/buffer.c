/* Growing bytes and the outbox. They take memory beside the JavaScript heap and its limit, so that a program
   that has filled its heap can still be told so. */
#include "guest.h"
#include "heap.h"

bool buffer_reserve(Buffer *buffer, size_t more)
{
    if (buffer->failed || more > SIZE_MAX / 4 || buffer->length > SIZE_MAX / 4) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->length + more;
    if (needed <= buffer->capacity)
        return true;
    size_t capacity = buffer->capacity + buffer->capacity / 2;
    if (capacity < needed)
        capacity = needed;
    if (capacity < 512)
        capacity = 512;
    uint8_t *bytes = heap_resize(buffer->bytes, capacity);
    if (!bytes) {
        buffer->failed = true;
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

void buffer_put(Buffer *buffer, const void *bytes, size_t length)
{
    if (!buffer_reserve(buffer, length))
        return;
    if (length <= 8) { /* a copy is a call out of the module */
        const uint8_t *from = bytes;
        for (size_t i = 0; i < length; i++)
            buffer->bytes[buffer->length++] = from[i];
        return;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

void buffer_text(Buffer *buffer, const char *text)
{
    buffer_put(buffer, text, strlen(text));
}

void buffer_number(Buffer *buffer, int64_t number)
{
    char digits[24], *p = digits + sizeof(digits);
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        *--p = '0' + rest % 10;
        rest /= 10;
    } while (rest);
    if (number < 0)
        *--p = '-';
    buffer_put(buffer, p, digits + sizeof(digits) - p);
}

void buffer_free(Buffer *buffer)
{
    heap_free(buffer->bytes);
    *buffer = (Buffer){0};
}

static Buffer outbox;

bool outbox_put(char kind, const Buffer *payload)
{
    uint32_t length = payload->length;
    if (payload->failed || !buffer_reserve(&outbox, 5 + payload->length)) {
        outbox.failed = false; /* this record did not fit; a smaller one may */
        return false;
    }
    buffer_put(&outbox, &length, sizeof(length)); /* wasm is little-endian, as the ABI is */
    buffer_put(&outbox, &kind, 1);
    buffer_put(&outbox, payload->bytes, payload->length);
    control.outbox = (uint32_t)(uintptr_t)outbox.bytes;
    control.outbox_length = outbox.length;
    return true;
}

void outbox_clear(void)
{
    outbox.length = 0;
    control.outbox_length = 0;
}
