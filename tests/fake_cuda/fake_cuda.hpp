#pragma once

/// A stand-in for libcuda.so.1: GPU memory is host memory, streams do their work at once, and
/// kernels run their bodies of src/cuda/kernels thread by thread. Tests steer it with these
/// functions.
extern "C" {

/// The next call of the driver's function `name` returns `status`.
void fake_cuda_fail_next(const char* name, int status);

/// Number of GPUs; 1 at the start.
void fake_cuda_set_devices(int count);

/// Objects that were made and not destroyed: contexts, memory, streams, events, graphs, modules.
int fake_cuda_live_objects();

/// As in cuda.h: runs `function` in the stream's order. Stands for the engines of TensorRT.
int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data);

/// Depth of the calling thread's stack of contexts.
int fake_cuda_context_depth();
}
