#include "proxy/net/uv/socket_names.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/random.h"
#include "proxy/net/uv/uv_stream.h"

namespace outrigger::net {

namespace {

constexpr size_t kNameDigitsMax = 20;  // of a 64-bit number

// Those of ours: their names are numbers.
void remove_left_names(const std::filesystem::path& dir) {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(dir, error)) {
    const std::string name = file.path().filename();
    const bool is_number = name.find_first_not_of("0123456789") == std::string::npos;
    if (is_number && file.is_socket(error)) std::filesystem::remove(file, error);
  }
}

// Not every file system has names for sockets.
Status try_name(const std::string& dir) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return tl::unexpected<Error>(uv_error(-errno, "open socket", dir));
  const Result<std::string> taken = take_name(fd, dir);
  if (taken) ::unlink(taken->c_str());
  ::close(fd);
  if (!taken) return tl::unexpected<Error>(taken.error());
  return {};
}

}  // namespace

sockaddr_un unix_name(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  OUTRIGGER_ASSERT(path.size() < sizeof name.sun_path);
  std::memcpy(name.sun_path, path.data(), path.size());
  return name;
}

Result<std::string> make_socket_dir(const std::string& data_dir) {
  const auto refused = [&](const std::string& cause, const char* hint) {
    return fail(ErrorCode::kInvalidArgument, "name sockets to the store", data_dir, cause, hint);
  };
  std::error_code error;
  const std::filesystem::path dir = std::filesystem::absolute(data_dir, error) / "sockets";
  // Behind it come a slash, the name and a zero.
  constexpr size_t kDirBytesMax = sizeof(sockaddr_un::sun_path) - kNameDigitsMax - 2;
  const char* const tcp_hint = "choose another data_dir, or host and port in store.uri";
  if (dir.string().size() > kDirBytesMax) {
    return refused("a Unix socket's name in it would be longer than the system allows", tcp_hint);
  }
  if (dir.string().find_first_of(":[]") != std::string::npos) {
    return refused("mongod takes no Unix socket whose name holds a colon or a bracket", tcp_hint);
  }
  std::filesystem::create_directory(dir, error);
  if (error) return refused(error.message(), "let this user write there");
  remove_left_names(dir);
  if (const Status named = try_name(dir); !named) {
    return refused("no Unix socket can be named there: " + named.error().reason, tcp_hint);
  }
  return dir.string();
}

Result<std::string> take_name(int fd, const std::string& dir) {
  const uint64_t id = SystemRandom().number();
  std::string path = dir + "/" + std::to_string(id);
  const sockaddr_un name = unix_name(path);
  const auto bound = [&] {
    return ::bind(fd, reinterpret_cast<const sockaddr*>(&name), sizeof name) == 0;
  };
  if (bound()) return path;
  if (errno == ENOENT && ::mkdir(dir.c_str(), 0700) == 0 && bound()) return path;
  return tl::unexpected<Error>(uv_error(-errno, "name socket", path));
}

}  // namespace outrigger::net
