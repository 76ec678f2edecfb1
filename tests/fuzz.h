/* What libFuzzer and tests/replay.c call; each tests/fuzz_*.c defines it for
 * one format that is read from outside. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Reads `size` bytes as the format and releases all it made; what it returns
 * is 0.  A bug shows as a crash, a sanitizer's report or a time-out. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
