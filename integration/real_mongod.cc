#include "integration/real_mongod.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <mongoc/mongoc.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace outrigger {
namespace {

constexpr auto kStartTimeout = std::chrono::seconds(60);
constexpr auto kPoll = std::chrono::milliseconds(50);
constexpr const char* kStep = "start mongod";

std::string find_binary() {
  if (const char* named = std::getenv("OUTRIGGER_MONGOD"); named != nullptr && *named != '\0') {
    return access(named, X_OK) == 0 ? named : "";
  }
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/mongod";
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  uint16_t port = 0;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  close(fd);
  return port;
}

bool is_open(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  const bool open = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return open;
}

tl::unexpected<Error> start_failed(const std::string& object, const std::string& reason) {
  return fail(ErrorCode::kUnavailable, kStep, object, reason);
}

}  // namespace

Result<std::unique_ptr<RealMongod>> RealMongod::start(const RealMongodOptions& options) {
  mongoc_init();
  const std::string binary = find_binary();
  if (binary.empty()) {
    return fail(ErrorCode::kNotFound, kStep, "", "no mongod in OUTRIGGER_MONGOD or on PATH",
                "run tools/setup, which fetches one, and use what it prints");
  }
  std::string directory =
      (std::filesystem::temp_directory_path() / "outrigger-mongod-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr)
    return start_failed(directory, "no temporary directory");
  std::unique_ptr<RealMongod> mongod(new RealMongod(options, binary, directory));
  if (auto launched = mongod->launch(); !launched) return tl::unexpected<Error>(launched.error());
  if (auto ready = mongod->prepare(); !ready) return tl::unexpected<Error>(ready.error());
  if (auto ready = mongod->wait_until_writable(); !ready)
    return tl::unexpected<Error>(ready.error());
  return mongod;
}

RealMongod::RealMongod(RealMongodOptions options, std::string binary, std::string directory)
    : options_(std::move(options)),
      binary_(std::move(binary)),
      directory_(std::move(directory)),
      port_(free_port()) {}

RealMongod::~RealMongod() {
  kill_hard();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

Status RealMongod::launch() {
  std::vector<std::string> words{binary_,
                                 "--dbpath",
                                 directory_,
                                 "--port",
                                 std::to_string(port_),
                                 "--bind_ip",
                                 "127.0.0.1",
                                 "--wiredTigerCacheSizeGB",
                                 "0.25",
                                 "--nounixsocket",
                                 "--logpath",
                                 directory_ + "/mongod.log",
                                 "--logappend"};
  if (options_.replica_set) words.insert(words.end(), {"--replSet", "rs0"});
  if (options_.authentication) words.emplace_back("--auth");
  if (options_.authentication && options_.replica_set) {
    const std::string key = directory_ + "/key";
    std::ofstream(key) << "b3V0cmlnZ2VyLXRlc3Q=\n";
    chmod(key.c_str(), S_IRUSR | S_IWUSR);
    words.insert(words.end(), {"--keyFile", key});
  }
  words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  pid_ = fork();
  if (pid_ < 0) return start_failed(binary_, "fork failed");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int nowhere = open("/dev/null", O_RDWR);
    for (const int fd : {0, 1, 2}) dup2(nowhere, fd);
    execv(binary_.c_str(), argv.data());
    _exit(127);
  }
  return wait_until_open();
}

Status RealMongod::wait_until_open() {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return start_failed(binary_, "it ended at once: " + log_tail());
    }
    if (is_open(port_)) return {};
    std::this_thread::sleep_for(kPoll);
  }
  return start_failed(binary_, "it does not open its port: " + log_tail());
}

Status RealMongod::prepare() {
  const std::string bare = uri("", "");
  if (options_.replica_set) {
    auto initiated = run(bare, "admin",
                         R"({"replSetInitiate": {"_id": "rs0", "members": [{"_id": 0, "host": ")" +
                             address() + R"("}]}})");
    if (!initiated) return tl::unexpected<Error>(initiated.error());
  }
  if (!options_.authentication) return {};
  // The first user may be made from this machine without a login; on a set, once it has a primary.
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (true) {
    auto made = run(bare, "admin", R"({"createUser": "root", "pwd": "root", "roles": ["root"]})");
    if (made) return {};
    if (std::chrono::steady_clock::now() > deadline) return tl::unexpected<Error>(made.error());
    std::this_thread::sleep_for(kPoll);
  }
}

Status RealMongod::wait_until_writable() {
  const auto deadline = std::chrono::steady_clock::now() + kStartTimeout;
  while (std::chrono::steady_clock::now() < deadline) {
    auto hello = command("admin", R"({"hello": 1})");
    if (hello && hello->find(R"("isWritablePrimary" : true)") != std::string::npos) return {};
    std::this_thread::sleep_for(kPoll);
  }
  return start_failed(binary_, "it takes no writes: " + log_tail());
}

Status RealMongod::restart() {
  if (auto launched = launch(); !launched) return launched;
  return wait_until_writable();
}

void RealMongod::kill_hard() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RealMongod::pause() { kill(pid_, SIGSTOP); }
void RealMongod::resume() { kill(pid_, SIGCONT); }

std::string RealMongod::uri(const std::string& user, const std::string& password) const {
  const bool login = options_.authentication && !user.empty();
  return "mongodb://" + (login ? user + ":" + password + "@" : "") + address() +
         "/?directConnection=true" + (login ? "&authSource=admin" : "");
}

Result<std::string> RealMongod::command(const std::string& database, const std::string& json) {
  return run(uri(), database, json);
}

Result<std::string> RealMongod::run(const std::string& uri, const std::string& database,
                                    const std::string& json) {
  bson_error_t error{};
  bson_t* body = bson_new_from_json(reinterpret_cast<const uint8_t*>(json.data()),
                                    static_cast<ssize_t>(json.size()), &error);
  if (body == nullptr) return fail(ErrorCode::kInvalidArgument, "read JSON", json, error.message);
  mongoc_client_t* client = mongoc_client_new(uri.c_str());
  bson_t reply = BSON_INITIALIZER;
  const bool done =
      client != nullptr && mongoc_client_command_with_opts(client, database.c_str(), body, nullptr,
                                                           nullptr, &reply, &error);
  char* text = bson_as_relaxed_extended_json(&reply, nullptr);
  std::string said = text == nullptr ? "" : text;
  bson_free(text);
  bson_destroy(&reply);
  bson_destroy(body);
  if (client != nullptr) mongoc_client_destroy(client);
  if (!done) return fail(ErrorCode::kUnavailable, "run on mongod", json, error.message);
  return said;
}

std::string RealMongod::log_tail() const {
  std::ifstream log(directory_ + "/mongod.log");
  std::string last;
  for (std::string line; std::getline(log, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

}  // namespace outrigger
