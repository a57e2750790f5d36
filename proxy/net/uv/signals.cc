#include "proxy/net/uv/signals.h"

#include <csignal>

#include "proxy/net/uv/uv_loop.h"

namespace outrigger::net {

void ignore_sigpipe() { std::signal(SIGPIPE, SIG_IGN); }

struct SignalWatch::Handle {
  uv_signal_t uv;
  std::shared_ptr<std::function<void(int)>> callback;
};

SignalWatch::SignalWatch(Loop& loop, std::initializer_list<int> signals,
                         std::function<void(int)> callback)
    : callback_(std::make_shared<std::function<void(int)>>(std::move(callback))) {
  for (const int signal : signals) {
    auto* handle = new Handle{{}, callback_};
    uv_signal_init(uv_loop_of(loop), &handle->uv);
    handle->uv.data = handle;
    const auto on_signal = [](uv_signal_t* uv, int number) {
      const auto function = static_cast<Handle*>(uv->data)->callback;  // outlives a self-destroy
      (*function)(number);
    };
    must_start("watch a signal", uv_signal_start(&handle->uv, on_signal, signal));
    handles_.push_back(handle);
  }
}

SignalWatch::~SignalWatch() {
  for (Handle* handle : handles_) {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle->uv),
             [](uv_handle_t* uv) { delete static_cast<Handle*>(uv->data); });
  }
}

}  // namespace outrigger::net
