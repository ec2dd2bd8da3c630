/* The allocator of the guest: two-level segregated fit (Masmano et al., ECRTS 2004), the only owner of memory above
   the static data.

   The libc that comes with the compiler rounds each block up to a power of two and never gives a size class back to
   another. QuickJS asks for arenas of 4 KiB, which became 8 KiB each: twice the memory, twice the page faults of a
   start, and a program that had used up its memory in one size could not be told so in another. Here a block has four
   bytes of overhead, neighbours that are free become one, and a block grows in place when what follows it is free.

   Ownership: a block belongs to the caller until heap_free. Sizes are in bytes, blocks are aligned to 8. All return
   NULL when linear memory cannot grow; a failed heap_resize leaves the block as it was. */
#ifndef PORTICO_HEAP_H
#define PORTICO_HEAP_H

#include <stddef.h>

void *heap_alloc(size_t size);
void *heap_resize(void *block, size_t size); /* NULL: as heap_alloc */
void heap_free(void *block);                 /* NULL: nothing */
size_t heap_size_of(const void *block);      /* what the block can hold, at least what was asked for */

/* At the end of the build. What is free now is never used: a run's blocks begin on a page of their own. */
size_t heap_seal(void); /* returns the address where they begin */

char *heap_copy_text(const char *text, size_t max_bytes);

#endif
