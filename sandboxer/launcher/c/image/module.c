/* The module that an interpreter loads to be frozen. Stable ABI of CPython, declared here: no header of any version is needed.
 * Source: docs.python.org, "C API Stability"; Include/moduleobject.h and methodobject.h. */
#include "image.h"

#define METH_O 8
#define ABI_VERSION 3

typedef struct object Object;

struct method {
    const char *name;
    Object *(*call)(Object *, Object *);
    int flags;
    const char *doc;
};

struct definition {
    intptr_t references;
    void *type;
    void *(*init)(void);
    intptr_t index;
    void *copy;
    const char *name;
    const char *doc;
    intptr_t state_bytes;
    const struct method *methods;
    void *slots, *traverse, *clear, *free;
};

Object *PyModule_Create2(struct definition *definition, int version);
long PyLong_AsLong(Object *number);
Object *PyLong_FromLong(long number);
Object *PyInit__image(void) __attribute__((visibility("default")));

/* freeze(fd): 0 when the process is written; an errno when it cannot be; -1 in a process that was resumed.
 *
 * That one is the same thread with the same locks, and has the interpreter to itself as this one has. So nothing is put right as
 * after a fork: it would cost a tenth of a call. Who asked to be told of a fork is told by the caller of this. */
static Object *freeze(Object *module, Object *number) {
    (void)module;
    int fd = (int)PyLong_AsLong(number);
#if defined(__x86_64__)
    if (store_context(&frozen.context)) return PyLong_FromLong(-1);
#endif
    return PyLong_FromLong(write_image(fd));
}

static const struct method METHODS[] = {{"freeze", freeze, METH_O, "Write this process to a file."}, {NULL, NULL, 0, NULL}};
static struct definition definition = {.references = 1, .name = "_image", .state_bytes = -1, .methods = METHODS};

Object *PyInit__image(void) { return PyModule_Create2(&definition, ABI_VERSION); }
