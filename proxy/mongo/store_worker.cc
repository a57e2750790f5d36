#include "proxy/mongo/store_worker.h"

namespace outrigger {

StoreWorker::StoreWorker(std::unique_ptr<Store> store, Threads& threads)
    : store_(std::move(store)), wake_(threads) {
  thread_ = threads.start([this] { run(); });
}

StoreWorker::~StoreWorker() { stop(); }

void StoreWorker::post(std::function<void(Store&)> job) {
  {
    const MutexLock lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void StoreWorker::wind_down() {
  const MutexLock lock(mutex_);
  winding_down_ = true;
}

void StoreWorker::stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_one();
  thread_.reset();
}

bool StoreWorker::stopping() const {
  const MutexLock lock(mutex_);
  return stopping_ || winding_down_;
}

void StoreWorker::run() {
  MutexLock lock(mutex_);
  for (;;) {
    while (!stopping_ && jobs_.empty()) wake_.wait(mutex_);
    if (stopping_) return;
    std::function<void(Store&)> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(*store_);
    lock.lock();
  }
}

}  // namespace outrigger
