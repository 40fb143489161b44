/* crc32c.h - CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, RFC 3720
 * appendix B.4), by the processor's instruction where it has one. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* `crc` is 0, the result for the bytes before these, or a seed: for the same
 * bytes different seeds always give different results. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The same without the instruction. */
uint32_t crc32c_software(uint32_t crc, const void *data, size_t size);
