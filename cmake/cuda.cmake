# The CUDA kernels: a second extension, built where nvcc is found.
file(GLOB JAXTBE_CUDA_SOURCES CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/csrc/cuda/*.cu")
set(JAXTBE_HAVE_CUDA FALSE)

if(NOT JAXTBE_CUDA MATCHES "^(AUTO|ON|OFF|WHEEL)$")
  message(FATAL_ERROR "JAXTBE_CUDA: expected AUTO, ON, OFF or WHEEL, got '${JAXTBE_CUDA}'.")
endif()

if(NOT JAXTBE_CUDA STREQUAL "OFF")
  # An explicit compiler, then PATH (not with WHEEL), then the nvidia-cuda-nvcc wheel.
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    if(NOT JAXTBE_CUDA STREQUAL "WHEEL")
      find_program(JAXTBE_NVCC nvcc HINTS /usr/local/cuda/bin)
    endif()
    if(NOT JAXTBE_NVCC)
      execute_process(
        COMMAND "${Python_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/cmake/find_wheel_nvcc.py"
        OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE JAXTBE_NVCC)
    endif()
    if(JAXTBE_NVCC)
      set(CMAKE_CUDA_COMPILER "${JAXTBE_NVCC}")
      # The 13.0 wheels: nvcc.profile says lib64, the runtime wheel has lib.
      get_filename_component(JAXTBE_CUDA_ROOT "${JAXTBE_NVCC}/../.." ABSOLUTE)
      if(EXISTS "${JAXTBE_CUDA_ROOT}/lib/libcudart_static.a")
        string(APPEND CMAKE_CUDA_FLAGS " -L${JAXTBE_CUDA_ROOT}/lib")
      endif()
    endif()
  endif()
  set(CMAKE_CUDA_ARCHITECTURES "${JAXTBE_CUDA_ARCHS}")  # before enable_language, which would choose its own
  if(CMAKE_CUDA_COMPILER OR DEFINED ENV{CUDACXX})
    enable_language(CUDA)
    set(JAXTBE_HAVE_CUDA TRUE)
  elseif(NOT JAXTBE_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "JAXTBE_CUDA=${JAXTBE_CUDA} but no nvcc was found (PATH, CUDACXX, /usr/local/cuda, the nvidia-cuda-nvcc wheel).")
  endif()
endif()

if(JAXTBE_HAVE_CUDA)
  pybind11_add_module(_cuda NO_EXTRAS xla_ffi/module_cuda.cc ${JAXTBE_FFI_SOURCES} ${JAXTBE_CUDA_SOURCES})
  target_include_directories(_cuda PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
  target_include_directories(_cuda SYSTEM PRIVATE "${XLA_FFI_INCLUDE_DIR}" ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  string(JOIN ", " JAXTBE_CUDA_ARCHS_TEXT ${JAXTBE_CUDA_ARCHS})
  target_compile_definitions(_cuda PRIVATE JAXTBE_CUDA_BACKEND "JAXTBE_CUDA_ARCHITECTURES=\"${JAXTBE_CUDA_ARCHS_TEXT}\"")
  set_target_properties(_cuda PROPERTIES
    CUDA_RUNTIME_LIBRARY Static CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_VISIBILITY_PRESET hidden)
  install(TARGETS _cuda LIBRARY DESTINATION jaxtbe)
endif()
message(STATUS "jaxtbe CUDA kernels: ${JAXTBE_HAVE_CUDA} ${CMAKE_CUDA_COMPILER}")
