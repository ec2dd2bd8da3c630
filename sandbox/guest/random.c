/* Random numbers for the program: ChaCha20 (RFC 8439) as a stream over the host's 32-byte seed.

   A run is a function of its source, its inputs and the answers of its calls, so the host supplies the seed and can
   replay it. It is a real cipher because programs make tokens and UUIDs from it: xorshift would let whoever sees one
   value compute the others. */
#include "guest.h"

static uint32_t state[16];
static uint8_t block[64];
static size_t used = sizeof(block);

static uint32_t rotate(uint32_t word, int bits)
{
    return word << bits | word >> (32 - bits);
}

static void quarter_round(uint32_t *w, int a, int b, int c, int d)
{
    w[a] += w[b]; w[d] = rotate(w[d] ^ w[a], 16);
    w[c] += w[d]; w[b] = rotate(w[b] ^ w[c], 12);
    w[a] += w[b]; w[d] = rotate(w[d] ^ w[a], 8);
    w[c] += w[d]; w[b] = rotate(w[b] ^ w[c], 7);
}

static void next_block(void)
{
    uint32_t w[16];
    memcpy(w, state, sizeof(w));
    for (int round = 0; round < 10; round++) {
        quarter_round(w, 0, 4, 8, 12);
        quarter_round(w, 1, 5, 9, 13);
        quarter_round(w, 2, 6, 10, 14);
        quarter_round(w, 3, 7, 11, 15);
        quarter_round(w, 0, 5, 10, 15);
        quarter_round(w, 1, 6, 11, 12);
        quarter_round(w, 2, 7, 8, 13);
        quarter_round(w, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++)
        w[i] += state[i];
    memcpy(block, w, sizeof(block)); /* wasm is little-endian, as the cipher is */
    used = 0;
    if (++state[12] == 0)
        state[13]++;
}

void random_seed(const uint8_t seed[32])
{
    static const char sigma[] = "expand 32-byte k";
    memset(state, 0, sizeof(state));
    memcpy(state, sigma, 16);
    memcpy(state + 4, seed, 32);
    used = sizeof(block);
}

void random_bytes(uint8_t *bytes, size_t length)
{
    while (length) {
        if (used == sizeof(block))
            next_block();
        size_t n = sizeof(block) - used < length ? sizeof(block) - used : length;
        memcpy(bytes, block + used, n);
        used += n;
        bytes += n;
        length -= n;
    }
}

double random_unit(void)
{
    uint64_t bits;
    random_bytes((uint8_t *)&bits, sizeof(bits));
    return (double)(bits >> 11) * 0x1p-53;
}
