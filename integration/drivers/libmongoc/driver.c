// What the test of drivers asks each of, with libmongoc: driver URI DATABASE work|count.
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mongoc_client_t* client;
static const char* name;

static void must(bool ok, const bson_error_t* error) {
  if (ok) return;
  fprintf(stderr, "%s\n", error->message);
  exit(1);
}

// The JSON as BSON. It lives as long as the program.
static const bson_t* json(const char* text) {
  bson_error_t error;
  bson_t* made = bson_new_from_json((const uint8_t*)text, -1, &error);
  must(made != NULL, &error);
  return made;
}

static int64_t number_at(const bson_t* document, const char* path) {
  bson_iter_t iter, at;
  const bool there = bson_iter_init(&iter, document) && bson_iter_find_descendant(&iter, path, &at);
  return there ? bson_iter_as_int64(&at) : -1;
}

static mongoc_collection_t* collection(const char* of) {
  return mongoc_client_get_collection(client, name, of);
}

static void insert(mongoc_collection_t* into, const char* document, const bson_t* options) {
  bson_error_t error;
  must(mongoc_collection_insert_one(into, json(document), options, NULL, &error), &error);
}

typedef bool (*Update)(mongoc_collection_t*, const bson_t*, const bson_t*, const bson_t*, bson_t*,
                       bson_error_t*);

// `field` of what it answers.
static int64_t update(Update how, mongoc_collection_t* in, const char* filter, const char* change,
                      const bson_t* options, const char* field) {
  bson_error_t error;
  bson_t reply;
  must(how(in, json(filter), json(change), options, &reply, &error), &error);
  const int64_t found = number_at(&reply, field);
  bson_destroy(&reply);
  return found;
}

// `field` of the first document of an answer.
static int64_t first(mongoc_cursor_t* cursor, const char* field) {
  const bson_t* document;
  bson_error_t error;
  int64_t found = -1;
  if (mongoc_cursor_next(cursor, &document)) found = number_at(document, field);
  must(!mongoc_cursor_error(cursor, &error), &error);
  mongoc_cursor_destroy(cursor);
  return found;
}

static void crud(mongoc_collection_t* things) {
  bson_error_t error;
  bson_t reply;
  insert(things, "{\"_id\": 1, \"n\": 0, \"tags\": [\"a\"]}", NULL);
  const bson_t* many[500];
  for (int i = 0; i < 500; ++i) many[i] = BCON_NEW("_id", BCON_INT32(100 + i), "n", BCON_INT32(i));
  must(mongoc_collection_insert_many(things, many, 500, NULL, &reply, &error), &error);
  printf("{\"many\": %d, ", (int)number_at(&reply, "insertedCount"));
  must(mongoc_collection_update_one(things, json("{\"_id\": 1}"),
                                    json("{\"$inc\": {\"n\": 5}, \"$push\": {\"tags\": \"b\"}}"),
                                    NULL, &reply, &error),
       &error);
  printf("\"update\": [%d, %d], ", (int)number_at(&reply, "matchedCount"),
         (int)number_at(&reply, "modifiedCount"));
  printf("\"update_many\": %d, ",
         (int)update(mongoc_collection_update_many, things, "{\"n\": {\"$gte\": 490}}",
                     "{\"$set\": {\"high\": true}}", NULL, "modifiedCount"));
  mongoc_find_and_modify_opts_t* modify = mongoc_find_and_modify_opts_new();
  mongoc_find_and_modify_opts_set_update(modify, json("{\"$inc\": {\"n\": 1}}"));
  mongoc_find_and_modify_opts_set_flags(modify, MONGOC_FIND_AND_MODIFY_RETURN_NEW);
  must(mongoc_collection_find_and_modify_with_opts(things, json("{\"_id\": 1}"), modify, &reply,
                                                   &error),
       &error);
  printf("\"find_and_modify\": %d, ", (int)number_at(&reply, "value.n"));
  printf("\"replace\": %d, ", (int)update(mongoc_collection_replace_one, things, "{\"_id\": 100}",
                                          "{\"n\": -1}", NULL, "modifiedCount"));
  must(mongoc_collection_delete_many(things, json("{\"n\": {\"$gte\": 1, \"$lt\": 5}}"), NULL,
                                     &reply, &error),
       &error);
  printf("\"delete\": %d, ", (int)number_at(&reply, "deletedCount"));
}

static void bulk(mongoc_collection_t* things) {
  bson_error_t error;
  bson_t reply;
  mongoc_bulk_operation_t* all = mongoc_collection_create_bulk_operation_with_opts(things, NULL);
  const bson_t* upsert = json("{\"upsert\": true}");
  mongoc_bulk_operation_insert(all, json("{\"_id\": 2}"));
  mongoc_bulk_operation_update_one_with_opts(all, json("{\"_id\": 2}"),
                                             json("{\"$set\": {\"x\": 1}}"), NULL, &error);
  mongoc_bulk_operation_remove_one_with_opts(all, json("{\"_id\": 2}"), NULL, &error);
  mongoc_bulk_operation_update_one_with_opts(all, json("{\"_id\": 3}"),
                                             json("{\"$set\": {\"y\": 1}}"), upsert, &error);
  must(mongoc_bulk_operation_execute(all, &reply, &error) != 0, &error);
  printf("\"bulk\": [%d, %d, %d, %d], ", (int)number_at(&reply, "nInserted"),
         (int)number_at(&reply, "nModified"), (int)number_at(&reply, "nRemoved"),
         (int)number_at(&reply, "nUpserted"));
}

static void duplicate(mongoc_collection_t* things) {
  bson_error_t error;
  bson_t reply;
  mongoc_database_t* database = mongoc_client_get_database(client, name);
  const bson_t* command = json(
      "{\"createIndexes\": \"things\", \"indexes\": [{\"key\": {\"code\": 1}, \"name\": \"code\", "
      "\"unique\": true, \"sparse\": true}]}");
  must(mongoc_database_write_command_with_opts(database, command, NULL, &reply, &error), &error);
  insert(things, "{\"_id\": 4, \"code\": \"x\"}", NULL);
  const bson_t* again = json("{\"_id\": 5, \"code\": \"x\"}");
  if (!mongoc_collection_insert_one(things, again, NULL, NULL, &error)) {
    printf("\"duplicate\": %d, ", (int)error.code);
  }
}

static void transactions(mongoc_collection_t* things, mongoc_collection_t* orders) {
  bson_error_t error;
  insert(orders, "{\"_id\": 0}", NULL);
  mongoc_client_session_t* session = mongoc_client_start_session(client, NULL, &error);
  must(session != NULL, &error);
  bson_t* in_it = bson_new();
  must(mongoc_client_session_append(session, in_it, &error), &error);
  must(mongoc_client_session_start_transaction(session, NULL, &error), &error);
  insert(orders, "{\"_id\": 1, \"total\": 5}", in_it);
  update(mongoc_collection_update_one, things, "{\"_id\": 1}", "{\"$inc\": {\"n\": -5}}", in_it,
         "modifiedCount");
  must(mongoc_client_session_commit_transaction(session, NULL, &error), &error);
  must(mongoc_client_session_start_transaction(session, NULL, &error), &error);
  insert(orders, "{\"_id\": 2}", in_it);
  must(mongoc_client_session_abort_transaction(session, &error), &error);
  mongoc_client_session_destroy(session);
  const int64_t n =
      first(mongoc_collection_find_with_opts(things, json("{\"_id\": 1}"), NULL, NULL), "n");
  printf("\"transaction\": [%d, %d], ", (int)n,
         (int)mongoc_collection_count_documents(orders, json("{}"), NULL, NULL, NULL, &error));
}

static void events(mongoc_collection_t* things) {
  bson_error_t error;
  bson_t reply;
  mongoc_change_stream_t* stream = mongoc_collection_watch(things, json("{}"), NULL);
  insert(things, "{\"_id\": 6}", NULL);
  update(mongoc_collection_update_one, things, "{\"_id\": 6}", "{\"$set\": {\"seen\": true}}", NULL,
         "modifiedCount");
  must(mongoc_collection_delete_one(things, json("{\"_id\": 6}"), NULL, &reply, &error), &error);
  printf("\"events\": [");
  for (int seen = 0; seen < 3;) {
    const bson_t* event;
    bson_iter_t type;
    if (!mongoc_change_stream_next(stream, &event)) continue;
    if (!bson_iter_init_find(&type, event, "operationType")) continue;
    printf("%s\"%s\"", seen++ == 0 ? "" : ", ", bson_iter_utf8(&type, NULL));
  }
  printf("], ");
  mongoc_change_stream_destroy(stream);
}

static void file(void) {
  bson_error_t error;
  static char bytes[600000];
  mongoc_iovec_t part = {.iov_base = bytes, .iov_len = sizeof bytes};
  mongoc_gridfs_t* files = mongoc_client_get_gridfs(client, name, NULL, &error);
  must(files != NULL, &error);
  mongoc_gridfs_file_opt_t options = {.filename = "file"};
  mongoc_gridfs_file_t* written = mongoc_gridfs_create_file(files, &options);
  mongoc_gridfs_file_writev(written, &part, 1, 0);
  must(mongoc_gridfs_file_save(written), &error);
  mongoc_gridfs_file_t* found = mongoc_gridfs_find_one_by_filename(files, "file", &error);
  must(found != NULL, &error);
  const ssize_t got = mongoc_gridfs_file_readv(found, &part, 1, sizeof bytes, 0);
  printf("\"file\": %d, ", (int)got);
}

static void work(void) {
  bson_error_t error;
  mongoc_collection_t* things = collection("things");
  crud(things);
  bulk(things);
  duplicate(things);
  transactions(things, collection("orders"));
  events(things);
  file();
  printf("\"left\": %d, ",
         (int)mongoc_collection_count_documents(things, json("{}"), NULL, NULL, NULL, &error));
  const bson_t* sum =
      json("{\"pipeline\": [{\"$group\": {\"_id\": null, \"sum\": {\"$sum\": \"$n\"}}}]}");
  printf(
      "\"sum\": %d}\n",
      (int)first(mongoc_collection_aggregate(things, MONGOC_QUERY_NONE, sum, NULL, NULL), "sum"));
}

static void count(void) {
  mongoc_collection_t* counters = collection("counters");
  int acknowledged = 0;
  const int times = 400;
  for (int i = 0; i < times; ++i) {
    bson_error_t error;
    acknowledged += mongoc_collection_update_one(counters, json("{\"_id\": \"all\"}"),
                                                 json("{\"$inc\": {\"n\": 1}}"),
                                                 json("{\"upsert\": true}"), NULL, &error);
  }
  printf("{\"acknowledged\": %d, \"failed\": %d}\n", acknowledged, times - acknowledged);
}

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  mongoc_init();
  mongoc_uri_t* uri = mongoc_uri_new(argv[1]);
  if (uri == NULL) return 1;
  // Otherwise a client of one thread looks for a server once, and not for 30 seconds.
  mongoc_uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false);
  client = mongoc_client_new_from_uri(uri);
  name = argv[2];
  if (client == NULL) return 1;
  if (strcmp(argv[3], "work") == 0) {
    work();
  } else {
    count();
  }
  return 0;
}
