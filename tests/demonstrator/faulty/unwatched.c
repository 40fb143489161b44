/* unwatched.c - as silent.c, and the processor does not notice it: what others count must show it. */
#define STALL (1000 * 3600 * INA_SECOND)
#include "silent.c"
