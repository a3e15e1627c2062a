// Copyright 2026 bisenet_ros maintainers
// SPDX-License-Identifier: Apache-2.0
// A libcuda.so.1 for machines without a GPU, under the real cuda-python and pycuda: device memory is the host's, work
// waits on its stream until that is synchronized, kernels are host libraries. It checks what it is given, keeps account
// of what is alive, and answers with an error at the call that it is told. Only what the package calls is there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "objects.h"

#define EXPORT __attribute__((visibility("default")))
typedef int Result;
enum {
  SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, NO_DEVICE = 100, INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
  PRIMARY_CONTEXT_ACTIVE = 708, LAUNCH_FAILED = 719, CAPTURE_UNSUPPORTED = 900, CAPTURE_INVALIDATED = 901
};

#define MOST_CALLS 100000
#define TOTAL_MEMORY ((size_t)1 << 30)
#define CONTEXT_MEMORY ((size_t)100 << 20)
static const char *calls[MOST_CALLS];
static int call_count, initialized, retained, scheduling, resets, pageable_copies;
static long copied[2];  // bytes, up and down
static const char *fail_name;
static int fail_after;  // calls of this name
static int fail_at = -1, fail_with, sticky, present = 1, major = 9, minor = 0;
static double delay;  // seconds that a synchronization takes
static char primary;  // its address is the context's handle
static __thread void *current;
static __thread int depth;  // contexts pushed by this thread

// ---- What the tests ask and tell

EXPORT int stub_calls(void) { return call_count; }
EXPORT const char *stub_call(int i) { return calls[i]; }
EXPORT int stub_resets(void) { return resets; }
EXPORT int stub_retained(void) { return retained; }
EXPORT int stub_scheduling(void) { return scheduling; }
EXPORT int stub_pageable_copies(void) { return pageable_copies; }
EXPORT long stub_copied(int down) { return copied[down]; }
EXPORT int stub_alive(int kind) {
  int count = 0;
  for (Object *object = objects; object; object = object->next) count += (int)object->kind == kind;
  return count;
}
// The call after `after` more fails; an error from 700 on is the answer of every later call, as of a real GPU.
EXPORT void stub_fail(int after, int error) { fail_at = call_count + after, fail_with = error; }
// The same by the name of a call: of those called so, the one after `after` more.
EXPORT void stub_fail_call(const char *name, int after, int error) {
  fail_name = strdup(name), fail_after = after, fail_with = error;
}
EXPORT void stub_reset(void) {
  while (objects) drop(objects);
  call_count = retained = scheduling = resets = pageable_copies = sticky = 0;
  copied[0] = copied[1] = 0;
  fail_at = -1, fail_name = NULL, present = 1, delay = 0, current = NULL, depth = 0;
  major = 9, minor = 0;
}
EXPORT void stub_set(int is_present, int new_major, int new_minor, double new_delay) {
  present = is_present, major = new_major, minor = new_minor, delay = new_delay;
}

// What no capture allows, such as to allocate memory, spoils it. Whether there was one.
static int spoil_captures(void) {
  int found = 0;
  for (Object *object = objects; object; object = object->next)
    if (object->kind == STREAM && object->capturing) found = object->invalid = 1;
  return found;
}

static Result enter(const char *name, int needs_context) {
  if (call_count < MOST_CALLS) calls[call_count] = name;
  if (sticky) return ++call_count, sticky;
  const int named = fail_name && !strcmp(name, fail_name) && fail_after-- == 0;
  if (call_count++ == fail_at || named) {
    if (fail_with >= 700 && fail_with < 800) sticky = fail_with;
    return fail_with;
  }
  if (!initialized) return NOT_INITIALIZED;
  return needs_context && !(current && retained) ? INVALID_CONTEXT : SUCCESS;
}
#define BEGIN(needs_context)                                  \
  do {                                                        \
    const Result error = enter(__func__, needs_context);      \
    if (error) return error;                                  \
  } while (0)
#define REQUIRE(condition, error) \
  do {                            \
    if (!(condition)) return error; \
  } while (0)
#define BEGIN_UNCAPTURED()                         \
  BEGIN(1);                                        \
  REQUIRE(!spoil_captures(), CAPTURE_UNSUPPORTED)

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// ---- The driver and its device

EXPORT Result cuInit(unsigned flags) {
  REQUIRE(!flags, INVALID_VALUE);
  REQUIRE(present, NO_DEVICE);
  initialized = 1;
  return SUCCESS;
}
EXPORT Result cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
EXPORT Result cuDeviceGetCount(int *count) { return *count = present, initialized ? SUCCESS : NOT_INITIALIZED; }
EXPORT Result cuDeviceGet(int *device, int ordinal) {
  BEGIN(0);
  REQUIRE(!ordinal, 101);
  return *device = 0, SUCCESS;
}
EXPORT Result cuDeviceGetName(char *name, int size, int device) {
  BEGIN(0);
  REQUIRE(!device, 101);
  return snprintf(name, size, "Stub GPU"), SUCCESS;
}
EXPORT Result cuDeviceGetAttribute(int *value, int attribute, int device) {
  BEGIN(0);
  REQUIRE(!device, 101);
  *value = attribute == 75 ? major : attribute == 76 ? minor : attribute == 16 ? 4 : 1;
  return SUCCESS;
}
EXPORT Result cuDeviceComputeCapability(int *to_major, int *to_minor, int device) {
  BEGIN(0);
  return *to_major = major, *to_minor = minor, (void)device, SUCCESS;
}
EXPORT Result cuDevicePrimaryCtxSetFlags(int device, unsigned flags) {
  BEGIN(0);
  REQUIRE(!retained, PRIMARY_CONTEXT_ACTIVE);
  return scheduling = flags, (void)device, SUCCESS;
}
EXPORT Result cuDevicePrimaryCtxRetain(void **context, int device) {
  BEGIN(0);
  ++retained;
  return *context = &primary, (void)device, SUCCESS;
}
EXPORT Result cuDevicePrimaryCtxRelease_v2(int device) {
  BEGIN(0);
  REQUIRE(retained, INVALID_CONTEXT);
  (void)device;
  if (--retained) return SUCCESS;
  ++resets;
  while (objects) drop(objects);
  return SUCCESS;
}
EXPORT Result cuCtxSetCurrent(void *context) {
  BEGIN(0);
  REQUIRE(!context || context == &primary, INVALID_CONTEXT);
  return current = context, SUCCESS;
}
EXPORT Result cuCtxDetach(void *context) { return (void)context, INVALID_CONTEXT; }  // the primary one is released
EXPORT Result cuCtxGetCurrent(void **context) { return *context = current, SUCCESS; }
EXPORT Result cuCtxPushCurrent_v2(void *context) {
  BEGIN(0);
  REQUIRE(context == &primary && retained, INVALID_CONTEXT);
  return current = context, ++depth, SUCCESS;
}
EXPORT Result cuCtxPopCurrent_v2(void **context) {
  BEGIN(1);
  if (context) *context = current;
  return current = --depth > 0 ? &primary : NULL, SUCCESS;
}
EXPORT Result cuCtxSynchronize(void) {
  BEGIN_UNCAPTURED();
  return SUCCESS;
}
EXPORT Result cuCtxGetDevice(int *device) {
  BEGIN(1);
  return *device = 0, SUCCESS;
}
EXPORT Result cuGetErrorName(Result error, const char **name) {
  static const struct { int error; const char *name; } names[] = {
      {0, "CUDA_SUCCESS"}, {1, "CUDA_ERROR_INVALID_VALUE"}, {2, "CUDA_ERROR_OUT_OF_MEMORY"},
      {3, "CUDA_ERROR_NOT_INITIALIZED"}, {100, "CUDA_ERROR_NO_DEVICE"}, {200, "CUDA_ERROR_INVALID_IMAGE"},
      {201, "CUDA_ERROR_INVALID_CONTEXT"}, {400, "CUDA_ERROR_INVALID_HANDLE"}, {600, "CUDA_ERROR_NOT_READY"},
      {700, "CUDA_ERROR_ILLEGAL_ADDRESS"}, {708, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE"},
      {719, "CUDA_ERROR_LAUNCH_FAILED"}, {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
      {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}};
  *name = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
    if (names[i].error == error) *name = names[i].name;
  return *name ? SUCCESS : INVALID_VALUE;
}
EXPORT Result cuGetErrorString(Result error, const char **text) { return cuGetErrorName(error, text); }

// cuda-python asks for each function by its plain name, and gets the newest.
EXPORT Result cuGetProcAddress(const char *name, void **function, int version, uint64_t flags) {
  char newer[128];
  snprintf(newer, sizeof newer, "%s_v2", name);
  Dl_info own;
  dladdr((void *)cuInit, &own);
  void *library = dlopen(own.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  *function = dlsym(library, newer);
  if (!*function) *function = dlsym(library, name);
  (void)version, (void)flags;
  return *function ? SUCCESS : NOT_FOUND;
}
EXPORT Result cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
  const Result result = cuGetProcAddress(name, function, version, flags);
  if (status) *status = result ? 1 : 0;
  return result;
}

// ---- Memory

EXPORT Result cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
  BEGIN(1);
  *total = TOTAL_MEMORY, *free_bytes = TOTAL_MEMORY - CONTEXT_MEMORY;
  for (Object *object = objects; object; object = object->next)
    if (object->kind == MEMORY) *free_bytes -= object->size;
  return SUCCESS;
}
static Result allocate(enum Kind kind, void **address, size_t size, int filling) {
  REQUIRE(size, INVALID_VALUE);
  size_t used = size;
  for (Object *object = objects; object; object = object->next) used += object->kind == kind ? object->size : 0;
  REQUIRE(used <= TOTAL_MEMORY, OUT_OF_MEMORY);
  *address = memset(malloc(size), filling, size);
  add(kind, *address, size);
  return SUCCESS;
}
static Result release(enum Kind kind, void *handle, Result unknown) {
  Object *object = find(kind, handle);
  REQUIRE(object, unknown);
  return drop(object), SUCCESS;
}
EXPORT Result cuMemAlloc_v2(void **address, size_t size) {
  BEGIN_UNCAPTURED();
  return allocate(MEMORY, address, size, 0xAB);
}
EXPORT Result cuMemFree_v2(void *address) {
  BEGIN_UNCAPTURED();
  return release(MEMORY, address, INVALID_VALUE);
}
EXPORT Result cuMemHostAlloc(void **address, size_t size, unsigned flags) {
  BEGIN_UNCAPTURED();
  (void)flags;
  return allocate(PINNED, address, size, 0xCD);
}
EXPORT Result cuMemFreeHost(void *address) {
  BEGIN_UNCAPTURED();
  return release(PINNED, address, INVALID_VALUE);
}

#include "work.h"
