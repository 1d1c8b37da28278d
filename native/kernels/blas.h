// Small matrix products for use inside parallel regions, by the MKL that libtorch_cpu.so carries and exports: there a
// call runs on the calling thread alone. FP16 is widened first: few processors multiply it. All matrices are row-major;
// leading dimensions count elements.
#pragma once
#include <cstdint>

#include "kernels/element.h"

namespace bt {

// C = A B^T + beta C.   A: (m, k)  B: (n, k)  C: (m, n) f32
void gemmNT(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
void gemmNT(int64_t m, int64_t n, int64_t k, const Bf16* a, int64_t lda, const Bf16* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
void gemmNT(int64_t m, int64_t n, int64_t k, const Fp16* a, int64_t lda, const Fp16* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
// C = A B + beta C.     A: (m, k)  B: (k, n)
void gemmNN(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
void gemmNN(int64_t m, int64_t n, int64_t k, const Bf16* a, int64_t lda, const Bf16* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
void gemmNN(int64_t m, int64_t n, int64_t k, const Fp16* a, int64_t lda, const Fp16* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
// C = A^T B + beta C.   A: (k, m)  B: (k, n)
void gemmTN(int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
void gemmTN(int64_t m, int64_t n, int64_t k, const Bf16* a, int64_t lda, const Bf16* b, int64_t ldb, float beta,
            float* c, int64_t ldc);
void gemmTN(int64_t m, int64_t n, int64_t k, const Fp16* a, int64_t lda, const Fp16* b, int64_t ldb, float beta,
            float* c, int64_t ldc);

}  // namespace bt
