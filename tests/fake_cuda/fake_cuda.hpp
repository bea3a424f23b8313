#pragma once

#include <cstddef>
#include <cstdint>

/// A fake libcuda.so.1: GPU memory is host memory, and kernels run their bodies of
/// src/cuda/kernels thread by thread. Work waits in its stream until somebody waits for it: for the
/// stream, for an event, by freeing memory or by a copy to memory that is not page-locked. Copies
/// read their source then; page-locked memory that was written to meanwhile, and memory that was
/// freed, end the program with a message. Tests steer it with these functions.
extern "C" {

/// The next call of the driver's function `name` returns `status`.
void fake_cuda_fail_next(const char* name, int status);

/// From now on calls are counted that allocate, copy, fill, launch, record, wait, or make streams
/// and events; number `number` fails (allocations for lack of memory). 0: none.
void fake_cuda_fail_call(int64_t number);

/// Calls that were counted since.
int64_t fake_cuda_counted_calls();

/// Ends the program unless the GPU's memory holds all these bytes. For what stands for an engine.
void fake_cuda_require_memory(uint64_t address, size_t bytes);

/// Number of GPUs; 1 at the start.
void fake_cuda_set_devices(int count);

/// Objects that were made and not destroyed: contexts, memory, streams, events, graphs, modules.
int fake_cuda_live_objects();

/// As in cuda.h: runs `function` in the stream's order. Stands for the engines of TensorRT.
int cuLaunchHostFunc(void* stream, void (*function)(void*), void* data);

/// What was last set as the stack of the GPU's threads; 1024 at the start.
size_t fake_cuda_stack_bytes();

/// Depth of the calling thread's stack of contexts.
int fake_cuda_context_depth();
}
