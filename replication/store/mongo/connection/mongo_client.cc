#include "replication/store/mongo/connection/mongo_client.h"

#include <mutex>
#include <vector>

#include "replication/store/store_errors.h"

namespace outrigger::mongo {
namespace {

constexpr int32_t kConnectMs = 5'000;
// Where another member may answer instead. All members are asked before one is chosen, and an
// answer may be that of a thousand writes, journaled.
constexpr int32_t kSilentConnectMs = 2'000;
constexpr int32_t kSilentMs = 15'000;
constexpr const char* kHint = "is mongod running there, and is store.uri right?";

void start_libmongoc() {
  static std::once_flag once;
  std::call_once(once, [] {
    mongoc_init();
    // Its own warnings go to stderr and could hold parts of the URI; we report what it returns.
    mongoc_log_set_handler([](mongoc_log_level_t, const char*, const char*, void*) {}, nullptr);
  });
}

bson_t borrow(const std::string& bytes) {
  bson_t view;
  OUTRIGGER_ASSERT(
      bson_init_static(&view, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  return view;
}

bson::Bytes bytes_of(const bson_t& from) {
  return {reinterpret_cast<const char*>(bson_get_data(&from)), from.len};
}

std::string hosts_of(const mongoc_uri_t* uri) {
  std::string all;
  for (auto* host = mongoc_uri_get_hosts(uri); host != nullptr; host = host->next) {
    all += (all.empty() ? "" : ",") + std::string(host->host_and_port);
  }
  return all;
}

std::string hello_command() { return bson::Writer().int32("hello", 1).finish(); }

}  // namespace

Result<std::unique_ptr<Client>> Client::open(const std::string& uri, bool leaves_the_silent) {
  start_libmongoc();
  bson_error_t error;
  mongoc_uri_t* parsed = mongoc_uri_new_with_error(uri.c_str(), &error);
  if (parsed == nullptr) {
    // libmongoc quotes parts of a URI it cannot read, so only say what is expected.
    return fail(ErrorCode::kInvalidArgument, "read store.uri", "", "not a MongoDB URI",
                "expected mongodb://[user:password@]host:port/[?options]");
  }
  mongoc_uri_set_appname(parsed, "outrigger");
  const auto set_default = [parsed](const char* option, int32_t ms) {
    if (!mongoc_uri_has_option(parsed, option)) mongoc_uri_set_option_as_int32(parsed, option, ms);
  };
  set_default(MONGOC_URI_CONNECTTIMEOUTMS, leaves_the_silent ? kSilentConnectMs : kConnectMs);
  if (leaves_the_silent) set_default(MONGOC_URI_SOCKETTIMEOUTMS, kSilentMs);
  return std::unique_ptr<Client>(new Client(parsed));
}

Client::Client(mongoc_uri_t* uri) : uri_(uri), name_("mongodb " + hosts_of(uri)) {
  if (const char* password = mongoc_uri_get_password(uri)) secret_ = password;
}

Client::~Client() { drop(); }

void Client::drop() {
  options_.clear();
  session_.reset();
  client_.reset();
  hello_.clear();
  session_id_.clear();
  txn_number_ = 0;
}

std::string Client::scrub(std::string text) const {
  // The password, and as it stands in the URI, if it had to be written in another way there.
  std::vector<std::string> secrets = {secret_};
  const std::string whole = mongoc_uri_get_string(uri_.get());
  const size_t at = whole.rfind('@');
  const size_t start = at == std::string::npos || secret_.empty() ? at : whole.rfind(':', at);
  if (start != at) secrets.push_back(whole.substr(start + 1, at - start - 1));
  const char* key =
      mongoc_uri_get_option_as_utf8(uri_.get(), MONGOC_URI_TLSCERTIFICATEKEYFILEPASSWORD, nullptr);
  if (key != nullptr) secrets.emplace_back(key);
  for (const std::string& secret : secrets) {
    if (secret.empty()) continue;
    for (size_t from = 0; (from = text.find(secret, from)) != std::string::npos;) {
      text.replace(from, secret.size(), "***");
      from += 3;
    }
  }
  return text;
}

Error Client::failure(const std::string& step, const bson_error_t& error) {
  drop();
  const std::string reason = scrub(error.message);
  if (error.domain == MONGOC_ERROR_CLIENT && error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE) {
    return Error{ErrorCode::kRefused, step, name_, reason,
                 "check the user and password in store.uri"};
  }
  return Error{ErrorCode::kUnavailable, step, name_, reason, kHint};
}

Error Client::refusal(const std::string& step, int32_t code, const std::string& message) {
  const std::string reason = scrub(message) + " (code " + std::to_string(code) + ")";
  if (is_transient(code)) {
    drop();
    return Error{ErrorCode::kUnavailable, step, name_, reason, "it is tried again"};
  }
  const char* hint = code == kUnauthorized ? "grant the store user the rights named at start" : "";
  return Error{ErrorCode::kRefused, step, name_, reason, hint};
}

Status Client::connect() {
  if (client_) return {};
  bson_error_t error{};
  client_.reset(mongoc_client_new_from_uri(uri_.get()));
  if (!client_) {
    return fail(ErrorCode::kInvalidArgument, "connect to store", name_,
                "libmongoc cannot use an option of store.uri");
  }
  mongoc_client_set_error_api(client_.get(), MONGOC_ERROR_API_VERSION_2);
  mongoc_session_opt_t* how = mongoc_session_opts_new();
  mongoc_session_opts_set_causal_consistency(how, false);
  session_.reset(mongoc_client_start_session(client_.get(), how, &error));
  mongoc_session_opts_destroy(how);
  if (!session_) return tl::unexpected<Error>(failure("connect to store", error));

  const bson_t* lsid = mongoc_client_session_get_lsid(session_.get());
  session_id_ = binary(bson::Document(bytes_of(*lsid)), "id");
  bson_t options = BSON_INITIALIZER;
  const bool appended = mongoc_client_session_append(session_.get(), &options, &error);
  options_ = bytes_of(options);
  bson_destroy(&options);
  if (!appended) return tl::unexpected<Error>(failure("connect to store", error));
  auto reply = must("admin", hello_command(), "connect to store");
  if (!reply) {
    drop();
    return tl::unexpected<Error>(reply.error());
  }
  hello_ = std::move(reply->bytes);
  return {};
}

Result<CommandReply> Client::run(const std::string& database, const std::string& command) {
  if (auto connected = connect(); !connected) return tl::unexpected<Error>(connected.error());
  const bson_t body = borrow(command);
  const bson_t options = borrow(options_);
  bson_t reply;
  bson_error_t error{};
  const bool done = mongoc_client_command_with_opts(client_.get(), database.c_str(), &body, nullptr,
                                                    &options, &reply, &error);
  CommandReply answer;
  answer.bytes = bytes_of(reply);
  bson_destroy(&reply);
  // libmongoc looks at little of a reply, and everything behind here trusts its BSON.
  if (const Status sane = bson::validate(answer.bytes); !sane) {
    drop();
    return fail(ErrorCode::kUnavailable, "send a command to", name_,
                "its answer is no BSON: " + sane.error().reason, kHint);
  }
  // libmongoc also calls a reply with a write concern error a failure: what counts is that the
  // server answered, which every answer shows by its "ok".
  const bson::Document said = answer.document();
  if (done || truthy(said, "ok")) return answer;
  if (!said.has("ok") || error.domain != MONGOC_ERROR_SERVER) {
    return tl::unexpected<Error>(failure("send a command to", error));
  }
  answer.ok = false;
  answer.code = static_cast<int32_t>(integer(said, "code", error.code));
  answer.message = text(said, "errmsg");
  return answer;
}

Result<CommandReply> Client::must(const std::string& database, const std::string& command,
                                  const std::string& step) {
  auto reply = run(database, command);
  if (!reply) {
    reply.error().step = step;
    return reply;
  }
  if (!reply->ok) return tl::unexpected<Error>(refusal(step, reply->code, reply->message));
  return reply;
}

Status Client::each(const std::string& database, const std::string& command,
                    const std::string& step,
                    const std::function<bool(const bson::Document&)>& visit) {
  auto reply = must(database, command, step);
  const char* batch = "firstBatch";
  while (true) {
    if (!reply) return tl::unexpected<Error>(reply.error());
    const bson::Document cursor = sub(reply->document(), "cursor");
    const int64_t id = integer(cursor, "id");
    const std::string collection = split(text(cursor, "ns")).collection;
    bool more = true;
    for (const bson::Element& e : sub(cursor, batch)) {
      if (e.value.type != bson::Type::kDocument) {
        return fail(ErrorCode::kCorrupt, step, name_, "a cursor answered with no documents");
      }
      if (more = visit(e.value.as_document()); !more) break;
    }
    if (id == 0) return {};
    if (!more) {
      kill_cursor(database, collection, id);
      return {};
    }
    bson::Writer next;
    next.int64("getMore", id).string("collection", collection);
    reply = must(database, next.finish(), step);
    batch = "nextBatch";
  }
}

void Client::kill_cursor(const std::string& database, const std::string& collection, int64_t id) {
  bson::Writer kill;
  kill.string("killCursors", collection).open_array("cursors").int64("0", id).close();
  (void)run(database, kill.finish());
}

bool is_transient(int32_t code) { return store_error_passes(code); }

Names split(std::string_view ns) {
  const size_t dot = ns.find('.');
  if (dot == std::string_view::npos) return {std::string(ns), ""};
  return {std::string(ns.substr(0, dot)), std::string(ns.substr(dot + 1))};
}

bool is_own_database(std::string_view name) {
  return name == "admin" || name == "local" || name == "config";
}

int64_t integer(const bson::Document& from, std::string_view name, int64_t missing) {
  const auto v = from.find(name);
  return v ? v->to_int64().value_or(missing) : missing;
}

std::string text(const bson::Document& from, std::string_view name) {
  const auto v = from.find(name);
  return v && v->type == bson::Type::kString ? std::string(v->as_string()) : std::string();
}

bool truthy(const bson::Document& from, std::string_view name) {
  const auto v = from.find(name);
  return v && v->truthy();
}

bson::Document sub(const bson::Document& from, std::string_view name) {
  const auto v = from.find(name);
  return v && v->is_container() ? v->as_document() : bson::Document();
}

Timestamp timestamp(const bson::Document& from, std::string_view name) {
  return timestamp_of(from.find(name));
}

std::string binary(const bson::Document& from, std::string_view name) {
  const auto v = from.find(name);
  return v ? std::string(v->binary()) : std::string();
}

}  // namespace outrigger::mongo
