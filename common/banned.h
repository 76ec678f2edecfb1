/* Calls that this project does not make; `make lint` looks for the names and
 * this header, included by common/err.h, makes the compiler refuse them. */
#ifndef COMMON_BANNED_H
#define COMMON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Macros under clang with _FORTIFY_SOURCE. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok
#pragma GCC poison atoi atol atoll popen tmpnam mktemp

#endif
