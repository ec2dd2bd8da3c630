/* quickjs.c and the answers that engine.h promises, in one translation unit. */
#include "quickjs.c"

#include "engine.h"

int engine_frames(JSContext *ctx, Frame *frames, int capacity)
{
    int count = 0;
    for (JSStackFrame *sf = ctx->rt->current_stack_frame; sf && count < capacity; sf = sf->prev_frame) {
        if (JS_VALUE_GET_TAG(sf->cur_func) != JS_TAG_OBJECT)
            continue;
        JSObject *function = JS_VALUE_GET_OBJ(sf->cur_func);
        if (!js_class_has_bytecode(function->class_id))
            continue;
        JSFunctionBytecode *b = function->u.func.function_bytecode;
        if (!b->filename || !sf->cur_pc)
            continue;
        char file[ATOM_GET_STR_BUF_SIZE];
        if (strcmp(JS_AtomGetStr(ctx, file, sizeof(file), b->filename), PROGRAM_NAME))
            continue;
        Frame *frame = &frames[count++];
        frame->line = find_line_num(ctx, b, sf->cur_pc - b->byte_code_buf - 1, &frame->column);
        const char *name = get_func_name(ctx, sf->cur_func);
        snprintf(frame->function, sizeof(frame->function), "%s", name && *name ? name : "<anonymous>");
        JS_FreeCString(ctx, name);
    }
    return count;
}

JSValue engine_error_stack(JSContext *ctx, JSValueConst error)
{
    if (!JS_IsError(error))
        return JS_UNDEFINED;
    return js_dup(JS_VALUE_GET_OBJ(error)->u.object_data);
}

JSValue engine_new_error(JSContext *ctx, JSValueConst prototype, JSValue stack)
{
    JSValue error = JS_NewObjectProtoClass(ctx, prototype, JS_CLASS_ERROR);
    if (JS_IsException(error)) {
        JS_FreeValue(ctx, stack);
        return error;
    }
    JS_VALUE_GET_OBJ(error)->u.object_data = stack;
    return error;
}

JSValue engine_new_promise(JSContext *ctx)
{
    JSValue promise = JS_NewObjectClass(ctx, JS_CLASS_PROMISE);
    if (JS_IsException(promise))
        return promise;
    JSPromiseData *data = js_mallocz(ctx, sizeof(*data));
    if (!data) {
        JS_FreeValue(ctx, promise);
        return JS_EXCEPTION;
    }
    data->promise_state = JS_PROMISE_PENDING;
    init_list_head(&data->promise_reactions[0]);
    init_list_head(&data->promise_reactions[1]);
    data->promise_result = JS_UNDEFINED;
    JS_SetOpaqueInternal(promise, data);
    return promise;
}

void engine_settle_promise(JSContext *ctx, JSValueConst promise, JSValueConst value, bool is_reject)
{
    fulfill_or_reject_promise(ctx, promise, value, is_reject);
}

bool engine_promise_is_handled(JSValueConst promise)
{
    JSPromiseData *data = JS_GetOpaque(promise, JS_CLASS_PROMISE);
    return data && data->is_handled;
}

bool engine_view_string(JSContext *ctx, JSValueConst string, StringView *view)
{
    view->keep = JS_VALUE_GET_TAG(string) == JS_TAG_STRING_ROPE ? js_linearize_string_rope(ctx, string)
                                                                : js_dup(string);
    if (JS_IsException(view->keep))
        return false;
    JSString *text = JS_VALUE_GET_STRING(view->keep);
    view->length = text->len;
    view->narrow = text->is_wide_char ? NULL : str8(text);
    view->wide = text->is_wide_char ? str16(text) : NULL;
    return true;
}

uint32_t engine_string_length(JSValueConst string)
{
    return JS_VALUE_GET_TAG(string) == JS_TAG_STRING_ROPE ? JS_VALUE_GET_STRING_ROPE(string)->len
                                                          : JS_VALUE_GET_STRING(string)->len;
}

JSValue engine_collection_items(JSContext *ctx, JSValueConst collection)
{
    bool is_map = JS_IsMap(collection);
    JSMapState *state = JS_GetOpaque(collection, is_map ? JS_CLASS_MAP : JS_CLASS_SET);
    JSValue items = JS_NewArray(ctx);
    uint32_t count = 0;
    struct list_head *el;
    if (!state || JS_IsException(items))
        return items;
    list_for_each(el, &state->records) {
        JSMapRecord *record = list_entry(el, JSMapRecord, link);
        if (record->empty)
            continue;
        if (JS_DefinePropertyValueUint32(ctx, items, count++, js_dup(record->key), JS_PROP_C_W_E) < 0 ||
            (is_map && JS_DefinePropertyValueUint32(ctx, items, count++, js_dup(record->value), JS_PROP_C_W_E) < 0)) {
            JS_FreeValue(ctx, items);
            return JS_EXCEPTION;
        }
    }
    return items;
}

bool engine_set_member(JSContext *ctx, JSValueConst object, JSAtom name, JSValue value)
{
    JSObject *p = JS_VALUE_GET_OBJ(object);
    JSProperty *property;
    if (find_own_property(&property, p, name)) {
        JSValue before = property->u.value;
        property->u.value = value;
        JS_FreeValue(ctx, before);
        return true;
    }
    property = add_property(ctx, p, name, JS_PROP_C_W_E);
    if (!property) {
        JS_FreeValue(ctx, value);
        return false;
    }
    property->u.value = value;
    return true;
}

bool engine_members_begin(JSContext *ctx, JSValueConst object, JSAtom to_json, Members *members)
{
    JSObject *p = JS_VALUE_GET_OBJ(object);
    JSShape *shape = p->shape;
    /* A shape that is not hashed changes in place. */
    if (p->class_id != JS_CLASS_OBJECT || p->is_exotic || !shape->is_hashed ||
        shape->proto != JS_VALUE_GET_OBJ(ctx->class_proto[JS_CLASS_OBJECT]))
        return false;
    JSShapeProperty *properties = get_shape_prop(shape);
    for (uint32_t i = 0; i < shape->prop_count; i++) {
        JSAtom name = properties[i].atom;
        if (name == JS_ATOM_NULL || name == to_json || __JS_AtomIsTaggedInt(name) ||
            (properties[i].flags & JS_PROP_TMASK) != JS_PROP_NORMAL ||
            ctx->rt->atom_array[name]->atom_type != JS_ATOM_TYPE_STRING)
            return false;
    }
    members->shape = js_dup_shape(shape);
    members->count = shape->prop_count;
    return true;
}

bool engine_member(JSContext *ctx, JSValueConst object, const Members *members, uint32_t index, JSValueConst *name,
                   JSValue *value)
{
    JSObject *p = JS_VALUE_GET_OBJ(object);
    JSShape *shape = members->shape;
    JSShapeProperty *property = &get_shape_prop(shape)[index];
    if (!(property->flags & JS_PROP_ENUMERABLE))
        return false;
    *name = JS_MKPTR(JS_TAG_STRING, ctx->rt->atom_array[property->atom]);
    *value = p->shape == shape ? js_dup(p->prop[index].u.value) : JS_GetProperty(ctx, object, property->atom);
    return true;
}

void engine_members_end(JSContext *ctx, const Members *members)
{
    js_free_shape(ctx->rt, members->shape);
}

bool engine_is_plain_array(JSContext *ctx, JSValueConst array)
{
    JSObject *p = JS_VALUE_GET_OBJ(array);
    return p->class_id == JS_CLASS_ARRAY && p->fast_array && p->shape->prop_count == 1 &&
           p->shape->proto == JS_VALUE_GET_OBJ(ctx->class_proto[JS_CLASS_ARRAY]);
}

JSValue engine_primitive_inside(JSContext *ctx, JSValueConst object)
{
    switch (JS_GetClassID(object)) {
    case JS_CLASS_NUMBER:
    case JS_CLASS_STRING:
    case JS_CLASS_BOOLEAN:
    case JS_CLASS_BIG_INT:
    case JS_CLASS_DATE:
        return js_dup(JS_VALUE_GET_OBJ(object)->u.object_data);
    default:
        return JS_UNDEFINED;
    }
}

bool engine_reports_full_memory(JSRuntime *rt)
{
    return rt->in_out_of_memory;
}

const char *engine_function_source(JSValueConst function, size_t *length)
{
    if (!JS_IsObject(function) || !js_class_has_bytecode(JS_VALUE_GET_OBJ(function)->class_id))
        return NULL;
    JSFunctionBytecode *b = JS_VALUE_GET_OBJ(function)->u.func.function_bytecode;
    *length = b->source_len;
    return b->source;
}

/* A value that is immortal is never counted, and so never written to by being used; the cycle collector neither visits
   it nor takes it from what it refers to. build.py has the counting. */
void engine_seal(JSRuntime *rt)
{
    struct list_head *el, *next;
    JS_RunGC(rt);
    list_for_each_safe(el, next, &rt->gc_obj_list) {
        JS_REF_COUNT(list_entry(el, JSGCObjectHeader, link)) = REF_COUNT_IMMORTAL;
        init_list_head(el); /* a shape that is replaced by a larger one leaves its list */
    }
    init_list_head(&rt->gc_obj_list);
    for (int i = 0; i < JS_ARENA_BLOCK_SIZE_COUNT; i++) {
        list_for_each_safe(el, next, &rt->arena_state.arena_list[i]) {
            JSArena *arena = list_entry(el, JSArena, link);
            for (int k = 0; k < arena->n_blocks; k++) /* strings too; in a block without a count, the field is unused */
                ((JSMallocBlockHeader *)arena_get_block(arena, k, arena_block_sizes[i]))->ref_count =
                    REF_COUNT_IMMORTAL;
            arena->n_used_blocks++; /* one that is never freed, so that the arena is not either */
            init_list_head(&arena->link);
            init_list_head(&arena->free_link);
        }
        init_list_head(&rt->arena_state.arena_list[i]);
        init_list_head(&rt->arena_state.free_arena_list[i]);
    }
}

JSValue engine_compile(JSContext *ctx, const char *source, size_t length, int first_line, int flags)
{
    return JS_EvalInternal(ctx, ctx->global_obj, source, length, PROGRAM_NAME, first_line,
                           flags | JS_EVAL_FLAG_COMPILE_ONLY, -1);
}
