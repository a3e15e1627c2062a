// Copyright 2026 bisenet_ros maintainers
// SPDX-License-Identifier: Apache-2.0
// The part of libcuda.c that runs work: streams, events, graphs, modules and kernels.

// ---- Streams

static Result put(void *stream, Work work) {
  Object *object = find(STREAM, stream);
  REQUIRE(object, INVALID_HANDLE);
  append(object->capturing ? &object->captured : &object->work, copy_of(&work));
  return SUCCESS;
}
EXPORT Result cuStreamCreate(void **stream, unsigned flags) {
  BEGIN(1);
  REQUIRE(flags <= 1, INVALID_VALUE);
  return *stream = add(STREAM, NULL, 0)->handle, SUCCESS;
}
EXPORT Result cuStreamDestroy_v2(void *stream) {
  BEGIN(1);
  return release(STREAM, stream, INVALID_HANDLE);
}
static void run(Work *work) {
  if (work->kind == COPY) {
    memcpy(work->target, work->source, work->size);
    copied[!is_within(MEMORY, work->target, 1)] += work->size;
  }
  if (work->kind == KERNEL && work->launch) work->launch(work->grid, work->block, work->arguments);
  if (work->kind == HOST) work->function(work->target);
  Object *event = work->kind == RECORD ? find(EVENT, work->target) : NULL;
  if (event) event->reached = now();
}
EXPORT Result cuStreamSynchronize(void *stream) {
  BEGIN(1);
  Object *object = find(STREAM, stream);
  REQUIRE(object, INVALID_HANDLE);
  REQUIRE(!object->capturing, (object->invalid = 1, CAPTURE_UNSUPPORTED));
  usleep(1e6 * delay);
  while (object->work) {
    Work *work = object->work;
    run(work);
    object->work = work->next;
    free(work);
    if (sticky) return sticky;
  }
  return SUCCESS;
}
EXPORT Result cuLaunchHostFunc(void *stream, HostFunction function, void *data) {
  BEGIN(1);
  return put(stream, (Work){.kind = HOST, .function = function, .target = data});
}
static Result put_copy(void *stream, void *target, const void *source, size_t size, const void *device, const void *host) {
  REQUIRE(size && is_within(MEMORY, device, size), INVALID_VALUE);
  pageable_copies += !is_within(PINNED, host, size);
  return put(stream, (Work){.kind = COPY, .target = target, .source = source, .size = size});
}
EXPORT Result cuMemcpyHtoDAsync_v2(void *target, const void *source, size_t size, void *stream) {
  BEGIN(1);
  return put_copy(stream, target, source, size, target, source);
}
EXPORT Result cuMemcpyDtoHAsync_v2(void *target, void *source, size_t size, void *stream) {
  BEGIN(1);
  return put_copy(stream, target, source, size, source, target);
}

// ---- Events

EXPORT Result cuEventCreate(void **event, unsigned flags) {
  BEGIN(1);
  REQUIRE(flags <= 3, INVALID_VALUE);
  return *event = add(EVENT, NULL, 0)->handle, SUCCESS;
}
EXPORT Result cuEventDestroy_v2(void *event) {
  BEGIN(1);
  return release(EVENT, event, INVALID_HANDLE);
}
EXPORT Result cuEventRecord(void *event, void *stream) {
  BEGIN(1);
  REQUIRE(find(EVENT, event), INVALID_HANDLE);
  find(EVENT, event)->reached = 0;
  return put(stream, (Work){.kind = RECORD, .target = event});
}
EXPORT Result cuEventElapsedTime_v2(float *milliseconds, void *begin, void *end) {
  BEGIN(1);
  Object *from = find(EVENT, begin), *to = find(EVENT, end);
  REQUIRE(from && to, INVALID_HANDLE);
  REQUIRE(from->reached && to->reached, NOT_READY);
  return *milliseconds = 1000 * (to->reached - from->reached), SUCCESS;
}
EXPORT Result cuEventElapsedTime(float *milliseconds, void *begin, void *end) {
  return cuEventElapsedTime_v2(milliseconds, begin, end);
}

// ---- Graphs

EXPORT Result cuStreamBeginCapture_v2(void *stream, int mode) {
  BEGIN(1);
  Object *object = find(STREAM, stream);
  REQUIRE(object && !object->capturing && mode >= 0 && mode <= 2, INVALID_HANDLE);
  return object->capturing = 1, object->invalid = 0, SUCCESS;
}
EXPORT Result cuStreamEndCapture(void *stream, void **graph) {
  Object *object = find(STREAM, stream);
  *graph = NULL;
  REQUIRE(object && object->capturing, INVALID_HANDLE);
  object->capturing = 0;  // whatever it answers
  BEGIN(1);
  if (object->invalid) return free_work(&object->captured), CAPTURE_INVALIDATED;
  Object *made = add(GRAPH, NULL, 0);
  made->work = object->captured;
  object->captured = NULL;
  return *graph = made->handle, SUCCESS;
}
EXPORT Result cuGraphInstantiateWithFlags(void **executable, void *graph, uint64_t flags) {
  BEGIN(1);
  REQUIRE(!flags && find(GRAPH, graph), INVALID_VALUE);
  Object *made = add(EXECUTABLE, NULL, 0);
  for (Work *work = find(GRAPH, graph)->work; work; work = work->next) append(&made->work, copy_of(work));
  return *executable = made->handle, SUCCESS;
}
EXPORT Result cuGraphDestroy(void *graph) {
  BEGIN(1);
  return release(GRAPH, graph, INVALID_VALUE);
}
EXPORT Result cuGraphExecDestroy(void *executable) {
  BEGIN(1);
  return release(EXECUTABLE, executable, INVALID_VALUE);
}
EXPORT Result cuGraphLaunch(void *executable, void *stream) {
  BEGIN(1);
  Object *object = find(EXECUTABLE, executable);
  REQUIRE(object && find(STREAM, stream), INVALID_VALUE);
  for (Work *work = object->work; work; work = work->next) put(stream, *work);
  return SUCCESS;
}

// ---- Kernels: code is an ELF file, for CUDA (which is not run) or a library of this machine

enum { X86_64 = 62, AARCH64 = 183, CUDA = 190 };

EXPORT Result cuModuleLoadData(void **module, const void *image) {
  BEGIN_UNCAPTURED();
  REQUIRE(!memcmp(image, "\x7f" "ELF", 4), INVALID_IMAGE);
  const uint16_t machine = ((const uint16_t *)image)[9];
  Object *made = add(MODULE, NULL, 0);
  *module = made->handle;
  if (machine == CUDA) return SUCCESS;
  const uint64_t sections = ((const uint64_t *)image)[5], count = ((const uint16_t *)image)[30];  // they are the end
  char path[] = "/tmp/stub_kernel_XXXXXX";
  const int file = mkstemp(path);
  const ssize_t written = write(file, image, sections + 64 * count);
  void *library = written > 0 ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
  close(file), unlink(path);
  REQUIRE(library, (drop(made), INVALID_IMAGE));
  made->launch = (Launch)dlsym(library, "launch");
  const unsigned *(*sizes)(void) = (const unsigned *(*)(void))dlsym(library, "parameter_sizes");
  made->sizes = sizes();
  return SUCCESS;
}
EXPORT Result cuModuleLoadDataEx(void **module, const void *image, unsigned count, int *options, void **values) {
  (void)count, (void)options, (void)values;
  return cuModuleLoadData(module, image);
}
EXPORT Result cuModuleUnload(void *module) {
  BEGIN(1);
  return release(MODULE, module, INVALID_HANDLE);
}
EXPORT Result cuModuleGetFunction(void **function, void *module, const char *name) {
  BEGIN(1);
  Object *object = find(MODULE, module);
  REQUIRE(object && *name, INVALID_HANDLE);
  return *function = object->handle, SUCCESS;  // a module has one
}
EXPORT Result cuFuncGetAttribute(int *value, int attribute, void *function) {
  BEGIN(1);
  REQUIRE(find(MODULE, function), INVALID_HANDLE);
  return *value = 0, (void)attribute, SUCCESS;
}
EXPORT Result cuFuncSetBlockShape(void *function, int x, int y, int z) {
  BEGIN(1);
  REQUIRE(find(MODULE, function), INVALID_HANDLE);
  return (void)x, (void)y, (void)z, SUCCESS;
}
// Copies the arguments; a pointer among them must be null or in device memory.
static Result take_arguments(Work *work, const unsigned *sizes, void **arguments, void **extra) {
  const char *packed = extra ? extra[1] : NULL;  // CU_LAUNCH_PARAM_BUFFER_POINTER, the buffer, ...
  size_t offset = 0;
  for (int i = 0; sizes[i]; ++i) {
    offset = (offset + sizes[i] - 1) / sizes[i] * sizes[i];
    memcpy(&work->values[i], packed ? packed + offset : arguments[i], sizes[i]);
    offset += sizes[i];
    const void *pointer = (const void *)work->values[i];
    REQUIRE(sizes[i] != 8 || !pointer || is_within(MEMORY, pointer, 1), sticky = ILLEGAL_ADDRESS);
  }
  return SUCCESS;
}
EXPORT Result cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                             unsigned block_y, unsigned block_z, unsigned shared, void *stream, void **arguments,
                             void **extra) {
  BEGIN(1);
  Object *object = find(MODULE, function);
  REQUIRE(object, INVALID_HANDLE);
  const unsigned threads = block_x * block_y * block_z;
  REQUIRE(grid_x && grid_y && grid_z && threads && threads <= 1024, INVALID_VALUE);
  Work work = {.kind = KERNEL, .launch = object->launch, .grid = {grid_x, grid_y, grid_z},
               .block = {block_x, block_y, block_z}};
  (void)shared;
  const Result error = object->sizes ? take_arguments(&work, object->sizes, arguments, extra) : SUCCESS;
  return error ? error : put(stream, work);
}
