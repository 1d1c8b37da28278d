// Which vector and matrix instructions this processor has and the system lets programs use.
#pragma once

namespace bt {

struct Processor {
  bool avx2 = false;
  bool avx512 = false;  // F, BW, DQ and VL
  bool avx512Bf16 = false;
  bool amxBf16 = false;
};

Processor readProcessor();

}  // namespace bt
