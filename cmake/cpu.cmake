# The CPU kernels. Files under csrc/cpu/simd are compiled once for each instruction set and chosen at run time.
file(GLOB JAXTBE_CPU_SOURCES CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cpu/*.cc")
file(GLOB JAXTBE_SIMD_SOURCES CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cpu/simd/*.cc")
file(GLOB JAXTBE_FFI_SOURCES CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/xla_ffi/*.cc")
list(FILTER JAXTBE_FFI_SOURCES EXCLUDE REGEX "module\\.cc$|_cuda\\.cc$")

add_library(jaxtbe_cpu STATIC ${JAXTBE_CPU_SOURCES})
target_include_directories(jaxtbe_cpu PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")

function(jaxtbe_add_simd_level level)
  add_library(jaxtbe_simd_${level} OBJECT ${JAXTBE_SIMD_SOURCES})
  target_include_directories(jaxtbe_simd_${level} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_compile_definitions(jaxtbe_simd_${level} PRIVATE JAXTBE_SIMD=${level})
  target_compile_options(jaxtbe_simd_${level} PRIVATE -O3 ${ARGN})
  target_sources(jaxtbe_cpu PRIVATE $<TARGET_OBJECTS:jaxtbe_simd_${level}>)
endfunction()

jaxtbe_add_simd_level(baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  jaxtbe_add_simd_level(avx2 -mavx2 -mfma -mf16c -mtune=haswell)
  jaxtbe_add_simd_level(avx512 -march=x86-64-v4 -mf16c -mprefer-vector-width=512)
  target_compile_definitions(jaxtbe_cpu PRIVATE JAXTBE_X86=1)
endif()
