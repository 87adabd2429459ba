// The CUDA language as the kernels use it: the only header of csrc/cuda that tells nvcc from the emulation of
// tests/cuda_emulation, which compiles kernels with the host's compiler and runs them on the CPU.
//
//   JAXTBE_SHARED(T, name, n)   declares an array in shared memory
//   LaunchKernel(...)           // clang-format off: it takes the brackets for shifts
  kernel<<<grid, block, 0, stream>>>(static_cast<Params>(args)...);
  // clang-format on
  return cudaPeekAtLastError();
}

}  // namespace jaxtbe

#endif
#endif
