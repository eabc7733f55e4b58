// The tile intrinsics of GCC 12 do not say that they read memory: the compiler drops the stores before them, and llama.cpp ends with an illegal
// instruction on processors with AMX. Included before llama.cpp's sources, these say it. Other compilers and processors see nothing of this.
#pragma once
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#undef _tile_loadd
#undef _tile_stream_loadd
#define BENCH_TILE_NAME(number) #number
#define BENCH_TILE_LOAD(mnemonic, tile, base, stride)                                                                  \
  __asm__ volatile(mnemonic " (%0,%1,1), %%tmm" BENCH_TILE_NAME(tile)::"r"((const void *)(base)), "r"((long)(stride)) : "memory")
#define _tile_loadconfig(config) __asm__ volatile("ldtilecfg (%0)" ::"r"((const void *)(config)) : "memory")
#define _tile_loadd(tile, base, stride) BENCH_TILE_LOAD("tileloadd", tile, base, stride)
#define _tile_stream_loadd(tile, base, stride) BENCH_TILE_LOAD("tileloaddt1", tile, base, stride)
#endif
