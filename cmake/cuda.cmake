# libbt_cuda-MINOR.so: the kernels by nvcc, without CMake's own CUDA language, which wants a whole toolkit where the
# wheels have what is needed; graphs and the table by the C++ compiler. Opened by the core on machines with a GPU, after
# libtorch_cuda.so: what it needs of libtorch is in the process by then.
find_program(BT_NVCC nvcc PATHS ${BT_CUDA}/bin NO_DEFAULT_PATH NO_CACHE)
find_library(BT_CUDART NAMES libcudart.so libcudart.so.13 libcudart.so.12 PATHS ${BT_CUDA}/lib64 ${BT_CUDA}/lib
             NO_DEFAULT_PATH NO_CACHE)
if(NOT BT_NVCC OR NOT BT_CUDART OR NOT EXISTS ${BT_CUDA}/include/cuda_runtime_api.h)
  message(FATAL_ERROR "BT_CUDA: '${BT_CUDA}' lacks bin/nvcc, include/cuda_runtime_api.h or libcudart.so. "
                      "Run: npm run build:cuda")
endif()

# Ampere (A100; RTX 30), Ada (RTX 40), Hopper, and PTX for what comes after.
set(cuda_code -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_86,code=sm_86
              -gencode=arch=compute_89,code=sm_89 -gencode=arch=compute_90,code=[sm_90,compute_90])
set(cuda_folder ${CMAKE_CURRENT_SOURCE_DIR}/native/cuda)
file(GLOB cuda_headers CONFIGURE_DEPENDS ${cuda_folder}/*.h ${cuda_folder}/*.cuh)
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${cuda_folder}/*.cu)
set(cuda_shared ${CMAKE_CURRENT_SOURCE_DIR}/native/kernels/element.h ${CMAKE_CURRENT_SOURCE_DIR}/native/kernels/random.h)
file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/cuda)
foreach(source ${cuda_kernels})
  get_filename_component(name ${source} NAME_WE)
  set(object ${CMAKE_CURRENT_BINARY_DIR}/cuda/${name}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${BT_NVCC} -std=c++20 -O3 --expt-relaxed-constexpr -Werror=all-warnings ${cuda_code}
            -ccbin ${CMAKE_CXX_COMPILER} -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra
            -I ${CMAKE_CURRENT_SOURCE_DIR}/native -c ${source} -o ${object}
    DEPENDS ${source} ${cuda_headers} ${cuda_shared}
    COMMENT "Building CUDA object ${name}.o"
    VERBATIM)
  list(APPEND cuda_objects ${object})
endforeach()

add_library(bt_cuda SHARED EXCLUDE_FROM_ALL ${cuda_folder}/graph.cc ${cuda_folder}/table.cc ${cuda_objects})
bt_options(bt_cuda)
target_include_directories(bt_cuda SYSTEM PRIVATE ${torch_include} ${BT_CUDA}/include ${BT_CUDA}/include/cccl)
target_compile_definitions(bt_cuda PRIVATE AT_PER_OPERATOR_HEADERS USE_CUDA _GLIBCXX_USE_CXX11_ABI=1)
target_link_libraries(bt_cuda PRIVATE ${torch_lib}/libtorch_cpu.so ${torch_lib}/libc10.so ${BT_CUDART})
# A libtorch for CPUs lacks these two. Then the symbols stay open, and are found at run time all the same.
foreach(library torch_cuda c10_cuda)
  if(EXISTS ${torch_lib}/lib${library}.so)
    target_link_libraries(bt_cuda PRIVATE ${torch_lib}/lib${library}.so)
  endif()
endforeach()
target_link_options(bt_cuda PRIVATE -s -Wl,--exclude-libs,ALL -Wl,--allow-shlib-undefined
                                    -Wl,--version-script=${cuda_folder}/exports.map)
set_target_properties(bt_cuda PROPERTIES OUTPUT_NAME bt_cuda-${torch_minor}
                                         LINK_DEPENDS ${cuda_folder}/exports.map)
