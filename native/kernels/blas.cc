#include "kernels/blas.h"

#include <vector>

// MKL's own names and layout constants; its headers are not part of libtorch. The library is the LP64 one: int sizes.
extern "C" {
void cblas_sgemm_batch(int layout, const int* transA, const int* transB, const int* m, const int* n, const int* k,
                       const float* alpha, const float** a, const int* lda, const float** b, const int* ldb,
                       const float* beta, float** c, const int* ldc, int groupCount, const int* groupSize);
void cblas_gemm_bf16bf16f32(int layout, int transA, int transB, int m, int n, int k, float alpha, const uint16_t* a,
                            int lda, const uint16_t* b, int ldb, float beta, float* c, int ldc);
}

namespace bt {

namespace {

constexpr int rowMajor = 101, plain = 111, transposed = 112;

void gemm(int transA, int transB, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
          int64_t ldb, float beta, float* c, int64_t ldc) {
  // The batch call is the FP32 product that the library exports; one group of one is a plain product.
  const int rows = static_cast<int>(m), columns = static_cast<int>(n), depth = static_cast<int>(k), one = 1;
  const int strideA = static_cast<int>(lda), strideB = static_cast<int>(ldb), strideC = static_cast<int>(ldc);
  const float alpha = 1;
  cblas_sgemm_batch(rowMajor, &transA, &transB, &rows, &columns, &depth, &alpha, &a, &strideA, &b, &strideB, &beta, &c,
                    &strideC, 1, &one);
}

void gemm(int transA, int transB, int64_t m, int64_t n, int64_t k, const Bf16* a, int64_t lda, const Bf16* b,
          int64_t ldb, float beta, float* c, int64_t ldc) {
  cblas_gemm_bf16bf16f32(rowMajor, transA, transB, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), 1,
                         &a->bits, static_cast<int>(lda), &b->bits, static_cast<int>(ldb), beta, c,
                         static_cast<int>(ldc));
}

// The thread's FP32 copy of a matrix, dense. `which` keeps the two operands apart.
const float* widened(int which, const Fp16* from, int64_t rows, int64_t columns, int64_t stride) {
  thread_local std::vector<float> copies[2];
  std::vector<float>& copy = copies[which];
  if (static_cast<int64_t>(copy.size()) < rows * columns) copy.resize(rows * columns);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < columns; ++i) copy[r * columns + i] = widen(from[r * stride + i]);
  }
  return copy.data();
}

void gemm(int transA, int transB, int64_t m, int64_t n, int64_t k, const Fp16* a, int64_t lda, const Fp16* b,
          int64_t ldb, float beta, float* c, int64_t ldc) {
  const int64_t rowsA = transA == plain ? m : k, columnsA = transA == plain ? k : m;
  const int64_t rowsB = transB == plain ? k : n, columnsB = transB == plain ? n : k;
  gemm(transA, transB, m, n, k, widened(0, a, rowsA, columnsA, lda), columnsA, widened(1, b, rowsB, columnsB, ldb),
       columnsB, beta, c, ldc);
}

}  // namespace

#define BT_PRODUCTS(T)                                                                                                 \
  void gemmNT(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, float beta, float* c, \
              int64_t ldc) {                                                                                           \
    gemm(plain, transposed, m, n, k, a, lda, b, ldb, beta, c, ldc);                                                    \
  }                                                                                                                    \
  void gemmNN(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, float beta, float* c, \
              int64_t ldc) {                                                                                           \
    gemm(plain, plain, m, n, k, a, lda, b, ldb, beta, c, ldc);                                                         \
  }                                                                                                                    \
  void gemmTN(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, float beta, float* c, \
              int64_t ldc) {                                                                                           \
    gemm(transposed, plain, m, n, k, a, lda, b, ldb, beta, c, ldc);                                                    \
  }
BT_PRODUCTS(float)
BT_PRODUCTS(Bf16)
BT_PRODUCTS(Fp16)

}  // namespace bt
