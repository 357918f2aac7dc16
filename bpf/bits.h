/* SPDX-License-Identifier: GPL-2.0 */
/* Bits of a word, which BPF has no instructions for. */
#ifndef SXF_BITS_H
#define SXF_BITS_H

#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* Number of the lowest bit that is set; `word` is not 0. A de Bruijn sequence has every six bits once, so that its top
 * bits, shifted by the answer, tell the answer. */
static __always_inline __u32 lowest_bit(__u64 word) {
        static const __u8 numbers[64] = {
            0,  1,  2,  53, 3,  7,  54, 27, 4,  38, 41, 8,  34, 55, 48, 28, 62, 5,  39, 46, 44, 42,
            22, 9,  24, 35, 59, 56, 49, 18, 29, 11, 63, 52, 6,  26, 37, 40, 33, 47, 61, 45, 43, 21,
            23, 58, 17, 10, 51, 25, 36, 32, 60, 20, 57, 16, 50, 31, 19, 15, 30, 14, 13, 12,
        };

        return numbers[(word & -word) * 0x022fdd63cc95386dULL >> 58] & 63;
}

/* Number of bits that are set. Sums of 2, 4, then 8 bits, and those all at once. */
static __always_inline __u32 bits_set(__u64 word) {
        word -= word >> 1 & 0x5555555555555555ULL;
        word = (word & 0x3333333333333333ULL) + (word >> 2 & 0x3333333333333333ULL);
        word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
        return word * 0x0101010101010101ULL >> 56;
}

#endif
