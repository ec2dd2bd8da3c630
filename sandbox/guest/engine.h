/* What the guest needs to know about QuickJS beyond its public header.

   Each function answers one question from the engine's own structures, without
   running a line of guest code: a program may replace `Error.prepareStackTrace`,
   `Promise.prototype.then` or `JSON` and these answers stay the same. They live in
   one translation unit with quickjs.c (engine.c), because the structures are
   private to it. (build.py changes quickjs.c in a few places, and says why.)

   Ownership: as in quickjs.h. A `JSValue` returned is the caller's to free, a
   `JSValueConst` taken is borrowed; a view borrows from the value it was made of. */
#ifndef PORTICO_ENGINE_H
#define PORTICO_ENGINE_H

#include "quickjs.h"

/* The file name that the agent's source is compiled under; frames of any other file are ours. */
#define PROGRAM_NAME "program"

enum { FRAMES_MAX = 8 }; /* enough to find one's way; a recursion prints no more */

typedef struct {
    int line;
    int column; /* 1-based byte column: see source_column() */
    char function[48];
} Frame;

/* Frames of the agent's source on the running stack, innermost first. */
int engine_frames(JSContext *ctx, Frame *frames, int capacity);

/* The stack text that the engine itself stored in a genuine Error, else undefined. */
JSValue engine_error_stack(JSContext *ctx, JSValueConst error);
/* An Error with this prototype and stack text (taken over); nothing is read from the running stack. */
JSValue engine_new_error(JSContext *ctx, JSValueConst prototype, JSValue stack);

/* A pending promise without resolving functions, settled with engine_settle_promise. Settling does not
   look for `then` on the value, so a poisoned Object.prototype.then cannot hold a host call's answer. */
JSValue engine_new_promise(JSContext *ctx);
void engine_settle_promise(JSContext *ctx, JSValueConst promise, JSValueConst value, bool is_reject);
bool engine_promise_is_handled(JSValueConst promise);

/* The code units of a string, in place. `keep` holds what the view borrows from: free it when done. */
typedef struct {
    const uint8_t *narrow;  /* Latin-1 units, or NULL */
    const uint16_t *wide;   /* UTF-16 units, or NULL */
    uint32_t length;
    JSValue keep;
} StringView;
bool engine_view_string(JSContext *ctx, JSValueConst string, StringView *view);
uint32_t engine_string_length(JSValueConst string); /* in code units */

/* [key, value, key, value, ...] of a Map, or [value, ...] of a Set. */
JSValue engine_collection_items(JSContext *ctx, JSValueConst collection);
/* Gives a plain object, which no program has seen yet, a property; the value is taken over. False: no memory. */
bool engine_set_member(JSContext *ctx, JSValueConst object, JSAtom name, JSValue value);

/* The members of an object that is made of nothing but values: no accessor, no index, no prototype but Object's, no
   `toJSON`. `begin` takes a hold of its shape, which keeps the list of names as it was; give it back with `end`. */
typedef struct {
    void *shape;
    uint32_t count;
} Members;
bool engine_members_begin(JSContext *ctx, JSValueConst object, JSAtom to_json, Members *members);
/* The value of a member, also when the object has changed in between; false when the member is not enumerable. */
bool engine_member(JSContext *ctx, JSValueConst object, const Members *members, uint32_t index, JSValueConst *name,
                   JSValue *value);
void engine_members_end(JSContext *ctx, const Members *members);
/* Whether an array is one of the engine's own kind, with no property beside its items. */
bool engine_is_plain_array(JSContext *ctx, JSValueConst array);

/* The primitive inside a Number, String, Boolean, BigInt or Date object, else undefined. */
JSValue engine_primitive_inside(JSContext *ctx, JSValueConst object);

/* Whether the engine is making the error that says that memory is full. */
bool engine_reports_full_memory(JSRuntime *rt);

/* The source text of a function written in JavaScript, borrowed; NULL for any other. */
const char *engine_function_source(JSValueConst function, size_t *length);

/* At the end of the build: all that lives now lives for ever, and nothing that a run makes goes between it. */
void engine_seal(JSRuntime *rt);

/* Compile only. `first_line` may be 0, so that a line put before the source does not count. */
JSValue engine_compile(JSContext *ctx, const char *source, size_t length, int first_line, int flags);

#endif
