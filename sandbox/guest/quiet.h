/* Forced into every translation unit: QuickJS prints only in debugging code that an isolate cannot reach, and a
   module that never prints needs no imports. `snprintf` into memory stays. */
#ifndef PORTICO_QUIET_H
#define PORTICO_QUIET_H
#include <stdio.h>
#define printf(...) ((void)0)
#define fprintf(...) ((void)0)
#define putchar(c) ((void)(c))
#define fputs(s, f) ((void)(s))
#define fputc(c, f) ((void)(c))
#define fwrite(p, s, n, f) ((size_t)(n))
#define fflush(f) ((void)0)
#endif
