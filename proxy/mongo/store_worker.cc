#include "proxy/mongo/store_worker.h"

namespace outrigger {

StoreWorker::StoreWorker(std::unique_ptr<Store> store, net::Loop& loop)
    : store_(std::move(store)), loop_(loop), thread_([this] { run(); }) {}

StoreWorker::~StoreWorker() { stop(); }

void StoreWorker::post(std::function<void(Store&)> job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void StoreWorker::wind_down() {
  const std::lock_guard<std::mutex> lock(mutex_);
  winding_down_ = true;
}

void StoreWorker::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool StoreWorker::stopping() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopping_ || winding_down_;
}

void StoreWorker::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    std::function<void(Store&)> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(*store_);
    lock.lock();
  }
}

}  // namespace outrigger
