/* The only clock an isolate has: the one the host wrote before this turn. It stands still while the program runs,
   so a run can be replayed and a program cannot time its host. Defined here, these symbols keep wasi-libc's, and
   with them its imports, out of the module. */
#include <sys/time.h>
#include <time.h>

#include "guest.h"

int clock_gettime(clockid_t id, struct timespec *now)
{
    (void)id;
    now->tv_sec = control.clock_us / 1000000;
    now->tv_nsec = control.clock_us % 1000000 * 1000;
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    now->tv_sec = control.clock_us / 1000000;
    now->tv_usec = control.clock_us % 1000000;
    return 0;
}
