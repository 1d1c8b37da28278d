// Opens a library of kernels as the core does and asks it for a kernel, a graph and a stream on a machine without a
// GPU: what comes back are errors, by number and in words. test/native/cuda.test.ts gives the words. Usage:
// cuda_library_test LIBRARY
#include <cstdio>

#include "model/cuda_library.h"

int main(int, char** arguments) {
  const bt::CudaLibrary library = bt::openCudaLibrary(arguments[1]);
  std::printf("path: %s\nproblem: %s\n", library.path.c_str(), library.problem.c_str());
  if (library.functions == nullptr) return 0;
  const BtCudaFunctions& cuda = *library.functions;
  const auto say = [&](const char* what, int error) { std::printf("%s: %s\n", what, cuda.errorText(error)); };
  float cell = 0;
  say("no such type", cuda.siluGateForward(7, &cell, &cell, 1, 1, nullptr));
  say("nothing to do", cuda.siluGateForward(kBtCudaF32, &cell, &cell, 0, 1, nullptr));
  say("kernel", cuda.siluGateForward(kBtCudaF32, &cell, &cell, 1, 1, nullptr));
  const BtCudaHeads odd{1, 1, 1, 3};
  say("odd heads", cuda.splitHeads(kBtCudaF32, &odd, &cell, &cell, &cell, nullptr, &cell, &cell, &cell, nullptr));
  return 0;
}
