// Copyright 2026 bisenet_ros maintainers
// SPDX-License-Identifier: Apache-2.0
// What libcuda.c hands out: every object has an entry in one list, by which handles are checked and leaks are found.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum Kind { MEMORY, PINNED, STREAM, EVENT, GRAPH, EXECUTABLE, MODULE };

typedef void (*HostFunction)(void *);
typedef void (*Launch)(const unsigned *grid, const unsigned *block, void **arguments);

// One piece of work of a stream or a graph; it runs when the stream is synchronized.
typedef struct Work {
  enum { COPY, KERNEL, RECORD, HOST } kind;
  void *target;
  const void *source;
  size_t size;
  Launch launch;
  unsigned grid[3], block[3];
  void *arguments[32];
  uint64_t values[32];
  HostFunction function;
  struct Work *next;
} Work;

typedef struct Object {
  enum Kind kind;
  void *handle;   // of memory its address
  size_t size;    // bytes of memory
  Work *work;     // of a stream what waits, of a graph what it replays
  Work *captured; // of a stream
  int capturing, invalid;
  double reached; // of an event, in seconds; 0 before it was recorded
  Launch launch;  // of a module, which has one function
  const unsigned *sizes; // of a function's parameters, ended by 0
  struct Object *next;
} Object;

static Object *objects;

static Object *add(enum Kind kind, void *handle, size_t size) {
  Object *object = calloc(1, sizeof *object);
  object->kind = kind;
  object->handle = handle ? handle : object;
  object->size = size;
  object->next = objects;
  objects = object;
  return object;
}

static Object *find(enum Kind kind, const void *handle) {
  for (Object *object = objects; object; object = object->next)
    if (object->kind == kind && object->handle == handle) return object;
  return NULL;
}

// Whether `size` bytes from `address` lie within one live allocation of the kind.
static int is_within(enum Kind kind, const void *address, size_t size) {
  for (Object *object = objects; object; object = object->next) {
    const char *begin = object->handle, *asked = address;
    if (object->kind == kind && asked >= begin && asked + size <= begin + object->size) return 1;
  }
  return 0;
}

static void append(Work **list, Work *work) {
  while (*list) list = &(*list)->next;
  *list = work;
}

static Work *copy_of(const Work *work) {
  Work *copy = malloc(sizeof *copy);
  *copy = *work;
  copy->next = NULL;
  for (int i = 0; i < 32; ++i) copy->arguments[i] = &copy->values[i];
  return copy;
}

static void free_work(Work **list) {
  while (*list) {
    Work *next = (*list)->next;
    free(*list);
    *list = next;
  }
}

static void drop(Object *object) {
  Object **place = &objects;
  while (*place != object) place = &(*place)->next;
  *place = object->next;
  free_work(&object->work);
  free_work(&object->captured);
  if (object->kind == MEMORY || object->kind == PINNED) free(object->handle);
  free(object);
}
