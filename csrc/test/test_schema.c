/* payload/schema: what is found by which name, what is not, and what is refused while building. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs those before it */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload/schema.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static mp_schema *begin(void) {
  mp_schema *s = NULL;
  mp_error err;
  assert_int_equal(MP_OK, mp_schema_new(&s, &err));
  return s;
}

static mp_code add(mp_schema *s, mp_model model, mp_error *err) {
  if (!model.global_id) model.global_id = "";
  return mp_schema_add_model(s, &model, err);
}

static void must_add(mp_schema *s, mp_model model) {
  mp_error err;
  assert_int_equal(MP_OK, add(s, model, &err));
}

static void must_attribute(mp_schema *s, const char *uid, const char *name, size_t len,
                           mp_attribute_kind kind, const char *target) {
  mp_error err;
  assert_int_equal(MP_OK, mp_schema_add_attribute(s, uid, name, len, kind, false, target, &err));
}

static void finish(mp_schema *s) {
  mp_error err = {0};
  if (mp_schema_finish(s, &err) != MP_OK) fail_msg("%s", err.message);
}

static const mp_model *find(const mp_schema *s, const char *name, mp_error *err) {
  *err = (mp_error){0};
  return mp_schema_find(s, name, strlen(name), err);
}

static void expect_model(const mp_model *found, const char *uid) {
  assert_non_null(found);
  assert_string_equal(uid, found->uid);
}

/* In memory of just its size, so that a read past its end is seen. */
static char *exactly(const char *bytes, size_t len) {
  char *copy = malloc(len ? len : 1);
  assert_non_null(copy);
  memcpy(copy, bytes, len);
  return copy;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static void test_attributes(void **state) {
  static const struct {
    const char *name;
    size_t len;
  } absent[] = {{"Password", 8}, {"passwor", 7}, {"password\0", 9}, {"password ", 9},
                {"a", 1},        {"a\0c", 3},    {"a\0bc", 4},      {"\xFF\xFE", 2}};
  mp_schema *s = begin();
  const mp_model *m;
  const mp_attribute *a;
  mp_error err;

  (void)state;
  must_add(s, (mp_model){.uid = "application::a.a", .name = "a"});
  must_add(s, (mp_model){.uid = "application::b.b", .name = "b"});
  must_attribute(s, "application::a.a", "password", 8, MP_ATTRIBUTE_DROP, NULL);
  must_attribute(s, "application::a.a", "", 0, MP_ATTRIBUTE_KEEP, NULL);
  must_attribute(s, "application::a.a", "a\0b", 3, MP_ATTRIBUTE_ZONE, NULL);
  must_attribute(s, "application::a.a", "\xFF", 1, MP_ATTRIBUTE_MORPH, NULL);
  must_attribute(s, "application::a.a", "later", 5, MP_ATTRIBUTE_ENTITY, "application::c.c");
  must_add(s, (mp_model){.uid = "application::c.c", .name = "c"});
  finish(s);
  m = find(s, "application::a.a", &err);
  expect_model(m, "application::a.a");
  assert_int_equal(MP_ATTRIBUTE_DROP, mp_model_attribute(m, "password", 8)->kind);
  assert_int_equal(MP_ATTRIBUTE_KEEP, mp_model_attribute(m, "", 0)->kind);
  assert_int_equal(MP_ATTRIBUTE_ZONE, mp_model_attribute(m, "a\0b", 3)->kind);
  assert_int_equal(MP_ATTRIBUTE_MORPH, mp_model_attribute(m, "\xFF", 1)->kind);
  a = mp_model_attribute(m, "later", 5);
  assert_int_equal(MP_ATTRIBUTE_ENTITY, a->kind);
  expect_model(a->model, "application::c.c");
  for (size_t i = 0; i < COUNT(absent); i++) {
    char *name = exactly(absent[i].name, absent[i].len);
    assert_null(mp_model_attribute(m, name, absent[i].len));
    free(name);
  }
  assert_null(mp_model_attribute(find(s, "application::b.b", &err), "password", 8));
  mp_schema_free(s);
}

static void test_many_attributes(void **state) {
  mp_schema *s = begin();
  const mp_model *m;
  char name[32];
  mp_error err;

  (void)state;
  must_add(s, (mp_model){.uid = "application::a.a", .name = "a"});
  for (int i = 0; i < 1000; i++) {
    int len = snprintf(name, sizeof name, "attribute_%d", i);
    must_attribute(s, "application::a.a", name, (size_t)len, (mp_attribute_kind)(i % 2), NULL);
  }
  finish(s);
  m = find(s, "a", &err);
  for (int i = 0; i < 2000; i++) {
    int len = snprintf(name, sizeof name, "attribute_%d", i);
    const mp_attribute *a = mp_model_attribute(m, name, (size_t)len);
    assert_int_equal(i < 1000, a != NULL);
    if (a) assert_int_equal(i % 2, a->kind);
  }
  mp_schema_free(s);
}

static void test_building_refused(void **state) {
  mp_schema *s = begin();
  mp_error err;

  (void)state;
  must_add(s, (mp_model){.uid = "application::address.address", .name = "address"});
  assert_int_equal(MP_EINVAL,
                   add(s, (mp_model){.uid = "application::address.address", .name = "x"}, &err));
  assert_string_equal("model 'application::address.address' is there twice", err.message);
  assert_int_equal(MP_EINVAL,
                   mp_schema_add_attribute(s, "x", "a", 1, MP_ATTRIBUTE_KEEP, false, NULL, &err));
  assert_string_equal("no model has the uid 'x'", err.message);
  must_attribute(s, "application::address.address", "city", 4, MP_ATTRIBUTE_KEEP, NULL);
  assert_int_equal(MP_EINVAL, mp_schema_add_attribute(s, "application::address.address", "city", 4,
                                                      MP_ATTRIBUTE_DROP, false, NULL, &err));
  assert_string_equal("model 'application::address.address': attribute 'city' is there twice",
                      err.message);
  must_attribute(s, "application::address.address", "home", 4, MP_ATTRIBUTE_ENTITY,
                 "application::adress.adress");
  assert_int_equal(MP_EINVAL, mp_schema_finish(s, &err));
  assert_string_equal(
      "model 'application::address.address': attribute 'home' refers to "
      "'application::adress.adress', which does not exist; did you mean "
      "'application::address.address'?",
      err.message);
  mp_schema_free(s);

  s = begin();
  must_add(s, (mp_model){.uid = "a", .name = "a"});
  must_attribute(s, "a", "x", 1, MP_ATTRIBUTE_ENTITY, NULL);
  assert_int_equal(MP_EINVAL, mp_schema_finish(s, &err));
  assert_string_equal("model 'a': attribute 'x' refers to '', which does not exist", err.message);
  mp_schema_free(s);
  mp_schema_free(NULL);
}

/* ---- models --------------------------------------------------------------------------------- */

static mp_schema *deployment(void) {
  mp_schema *s = begin();
  must_add(s, (mp_model){.uid = "plugins::upload.file",
                         .name = "file",
                         .global_id = "UploadFile",
                         .builtin = true});
  must_add(s, (mp_model){.uid = "plugins::users-permissions.user",
                         .name = "user",
                         .global_id = "UsersPermissionsUser",
                         .builtin = true,
                         .user = true});
  must_add(s, (mp_model){.uid = "plugins::users-permissions.role",
                         .name = "role",
                         .global_id = "Role",
                         .builtin = true});
  must_add(s, (mp_model){.uid = "strapi::user",
                         .name = "user",
                         .global_id = "AdminUser",
                         .builtin = true,
                         .user = true});
  must_add(
      s,
      (mp_model){.uid = "strapi::role", .name = "role", .global_id = "AdminRole", .builtin = true});
  must_add(
      s,
      (mp_model){.uid = "application::address.address", .name = "address", .global_id = "Address"});
  must_add(s, (mp_model){.uid = "application::role.role", .name = "role", .global_id = "Role"});
  must_add(s, (mp_model){.uid = "application::page.page", .name = "page", .global_id = "Page"});
  must_add(s, (mp_model){.uid = "plugins::site.page", .name = "page", .global_id = "Page"});
  must_add(s, (mp_model){.uid = "api::page.page", .name = "page"});
  must_add(s, (mp_model){.uid = "default.address",
                         .name = "address",
                         .global_id = "ComponentAddress",
                         .kind = MP_MODEL_COMPONENT});
  must_add(s, (mp_model){.uid = "default.quote",
                         .name = "quote",
                         .global_id = "ComponentQuote",
                         .kind = MP_MODEL_COMPONENT});
  return s;
}

static void test_find(void **state) {
  mp_schema *s = deployment();
  mp_error err;

  (void)state;
  finish(s);
  expect_model(find(s, "application::address.address", &err), "application::address.address");
  expect_model(find(s, "address", &err), "application::address.address");
  expect_model(find(s, "file", &err), "plugins::upload.file");
  expect_model(find(s, "default.quote", &err), "default.quote");
  /* the deployment's own before two built-in ones */
  expect_model(find(s, "role", &err), "application::role.role");
  /* two, but both are users: neither is sent */
  assert_true(find(s, "user", &err)->user);

  assert_null(find(s, "page", &err));
  assert_int_equal(MP_EINVAL, err.code);
  assert_string_equal(
      "model 'page' is ambiguous: name one of 'application::page.page', "
      "'plugins::site.page', 'api::page.page'",
      err.message);
  mp_schema_free(s);
}

static void test_not_found(void **state) {
  static const struct {
    const char *name, *message;
  } cases[] = {
      {"adress", "unknown model 'adress'; did you mean 'address'?"},
      {"Address", "unknown model 'Address'; did you mean 'address'?"},
      {"application::adress.address",
       "unknown model 'application::adress.address'; did you mean 'application::address.address'?"},
      {"zebra", "unknown model 'zebra'"},
      {"", "unknown model ''"},
      {"quote", "unknown model 'quote'"}, /* a component has no bare name */
  };
  mp_schema *s = deployment(), *empty = begin();
  char *name;
  mp_error err;

  (void)state;
  finish(s);
  for (size_t i = 0; i < COUNT(cases); i++) {
    assert_null(find(s, cases[i].name, &err));
    assert_int_equal(MP_EINVAL, err.code);
    assert_string_equal(cases[i].message, err.message);
  }
  name = exactly("address\0x", 9);
  assert_null(mp_schema_find(s, name, 9, &err));
  free(name);
  mp_schema_free(s);
  finish(empty);
  assert_null(find(empty, "address", &err));
  assert_null(mp_schema_component(empty, "default.quote", 13));
  assert_null(mp_schema_morph(empty, "Address", 7));
  mp_schema_free(empty);
}

/* A deployment's own model does not hide the built-in users. */
static void test_own_user(void **state) {
  mp_schema *s = deployment();
  mp_error err;

  (void)state;
  must_add(s, (mp_model){.uid = "application::user.user", .name = "user", .global_id = "User"});
  finish(s);
  assert_null(find(s, "user", &err));
  assert_string_equal(
      "model 'user' is ambiguous: name one of 'plugins::users-permissions.user', "
      "'strapi::user', 'application::user.user'",
      err.message);
  expect_model(find(s, "application::user.user", &err), "application::user.user");
  mp_schema_free(s);
}

static void test_components_and_morphs(void **state) {
  /* What a uid that is cut by a NUL must not find, nor be compared beyond its end. */
  static const struct {
    const char *uid;
    size_t len;
  } absent[] = {{"default.quote\0", 14},
                {"default.quote\0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 49},
                {"default.quot", 12},
                {"default.quotes", 14},
                {"", 0},
                {"\0", 1}};
  mp_schema *s = deployment();

  (void)state;
  finish(s);
  expect_model(mp_schema_component(s, "default.quote", 13), "default.quote");
  assert_null(mp_schema_component(s, "application::address.address", 28));
  expect_model(mp_schema_morph(s, "Address", 7), "application::address.address");
  expect_model(mp_schema_morph(s, "application::address.address", 28),
               "application::address.address");
  expect_model(mp_schema_morph(s, "UploadFile", 10), "plugins::upload.file");
  expect_model(mp_schema_morph(s, "Role", 4), "application::role.role"); /* before the built-in */
  expect_model(mp_schema_morph(s, "Page", 4), "application::page.page"); /* the first */
  assert_null(mp_schema_morph(s, "address", 7));
  for (size_t i = 0; i < COUNT(absent); i++) {
    char *uid = exactly(absent[i].uid, absent[i].len);
    assert_null(mp_schema_component(s, uid, absent[i].len));
    assert_null(mp_schema_morph(s, uid, absent[i].len));
    free(uid);
  }
  mp_schema_free(s);
}

static void test_many_models(void **state) {
  mp_schema *s = begin();
  char uid[64], name[32], id[32];
  mp_error err;

  (void)state;
  for (int i = 0; i < 500; i++) {
    snprintf(uid, sizeof uid, "application::thing%d.thing%d", i, i);
    snprintf(name, sizeof name, "thing%d", i);
    snprintf(id, sizeof id, "Thing%d", i);
    must_add(s, (mp_model){.uid = uid, .name = name, .global_id = id});
  }
  finish(s);
  for (int i = 0; i < 500; i++) {
    snprintf(uid, sizeof uid, "application::thing%d.thing%d", i, i);
    snprintf(name, sizeof name, "thing%d", i);
    snprintf(id, sizeof id, "Thing%d", i);
    expect_model(find(s, uid, &err), uid);
    expect_model(find(s, name, &err), uid);
    expect_model(mp_schema_morph(s, id, strlen(id)), uid);
  }
  mp_schema_free(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_attributes),
                                     cmocka_unit_test(test_many_attributes),
                                     cmocka_unit_test(test_building_refused),
                                     cmocka_unit_test(test_find),
                                     cmocka_unit_test(test_not_found),
                                     cmocka_unit_test(test_own_user),
                                     cmocka_unit_test(test_components_and_morphs),
                                     cmocka_unit_test(test_many_models)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
