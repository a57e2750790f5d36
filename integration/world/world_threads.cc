#include "integration/world/world_threads.h"

#include <sys/mman.h>

#include <algorithm>
#include <list>

#include "config/result.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace outrigger::world {
namespace {

constexpr size_t kStackBytes = 512 << 10;  // of memory that is only taken when it is used
constexpr size_t kGuardBytes = 4 << 10;    // below it: who runs over his stack is told

// AddressSanitizer follows stacks; it is told when another one goes on (common_interface_defs.h).
void leaving([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* bottom,
             [[maybe_unused]] size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake_stack, bottom, bytes);
#endif
}

void arrived([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** bottom,
             [[maybe_unused]] size_t* bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack, bottom, bytes);
#endif
}

}  // namespace

class WorldThreads::Actor final : public Threads::Thread {
 public:
  Actor(WorldThreads& threads, std::function<void()> run)
      : threads_(threads), run_(std::move(run)) {
    mapping_ = ::mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    OUTRIGGER_ASSERT(mapping_ != MAP_FAILED);
    OUTRIGGER_ASSERT(::mprotect(mapping_, kGuardBytes, PROT_NONE) == 0);
    stack = static_cast<char*>(mapping_) + kGuardBytes;
    ::getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = kStackBytes;
    const auto self = reinterpret_cast<uintptr_t>(this);  // makecontext() passes ints only
    ::makecontext(&context, reinterpret_cast<void (*)()>(&Actor::begin), 2,
                  static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
    ++threads_.alive_;
  }
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  ~Actor() override {
    join();
    ::munmap(mapping_, kGuardBytes + kStackBytes);
    --threads_.alive_;
  }

  ucontext_t context{};
  void* stack = nullptr;
  void* fake_stack = nullptr;
  // Parked: `due` is when it goes on by itself, if it does.
  std::optional<Due> due;
  bool is_parked = false;

 private:
  static void begin(unsigned high, unsigned low) {
    auto* self = reinterpret_cast<Actor*>(static_cast<uintptr_t>(high) << 32 | low);
    arrived(nullptr, &self->threads_.loop_left_.bottom, &self->threads_.loop_left_.bytes);
    self->run_();
    self->has_ended_ = true;
    if (self->joiner_ != nullptr) self->threads_.wake(*self->joiner_);
    self->threads_.give_back(*self, true);
  }
  void join() {
    if (threads_.running_ == nullptr) {
      threads_.let_pass([this] { return has_ended_; }, std::nullopt);
      return;
    }
    joiner_ = threads_.running_;
    while (!has_ended_) threads_.park(std::nullopt);
  }

  WorldThreads& threads_;
  const std::function<void()> run_;
  void* mapping_ = nullptr;
  bool has_ended_ = false;
  Actor* joiner_ = nullptr;
};

class WorldThreads::WorldSignal final : public Threads::Signal {
 public:
  explicit WorldSignal(WorldThreads& threads) : threads_(threads) {}

  void notify_one() override {
    if (waiting_.empty()) return;
    Waiter* first = waiting_.front();
    waiting_.pop_front();
    first->is_told = true;
    if (first->actor != nullptr) threads_.wake(*first->actor);
  }
  void notify_all() override {
    while (!waiting_.empty()) notify_one();
  }
  void wait(std::unique_lock<std::mutex>& lock) override { (void)wait_for(lock, std::nullopt); }
  bool wait_until(std::unique_lock<std::mutex>& lock, TimePoint until) override {
    return wait_for(lock, threads_.us_of(until));
  }

 private:
  struct Waiter {
    Actor* actor = nullptr;  // none: the loop's thread
    bool is_told = false;
  };

  bool wait_for(std::unique_lock<std::mutex>& lock, std::optional<uint64_t> until_us) {
    Waiter self{threads_.running_};
    waiting_.push_back(&self);
    lock.unlock();
    if (self.actor == nullptr) {
      threads_.let_pass([&self] { return self.is_told; }, until_us);
    } else {
      threads_.park(until_us);
    }
    lock.lock();
    if (!self.is_told) waiting_.remove(&self);
    return self.is_told;
  }

  WorldThreads& threads_;
  std::list<Waiter*> waiting_;  // who waits longest first
};

WorldThreads::WorldThreads(net::VirtualTime& time) : time_(time) { time_.share_with(this); }

WorldThreads::~WorldThreads() {
  OUTRIGGER_ASSERT(alive_ == 0);
  time_.share_with(nullptr);
}

std::unique_ptr<Threads::Thread> WorldThreads::start(std::function<void()> run) {
  auto actor = std::make_unique<Actor>(*this, std::move(run));
  ready_.push_back(actor.get());
  return actor;
}

std::unique_ptr<Threads::Signal> WorldThreads::signal() {
  return std::make_unique<WorldSignal>(*this);
}

uint64_t WorldThreads::us_of(TimePoint time) const {
  using std::chrono::microseconds;
  const auto us = std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
  return us < 0 ? 0 : static_cast<uint64_t>(us);
}

Threads::TimePoint WorldThreads::now() const {
  return TimePoint(std::chrono::microseconds(time_.now_us()));
}

void WorldThreads::sleep(std::chrono::microseconds time) {
  const uint64_t until_us = time_.now_us() + static_cast<uint64_t>(std::max(time.count(), {}));
  if (running_ != nullptr) {
    park(until_us);
  } else {
    let_pass([] { return false; }, until_us);
  }
}

void WorldThreads::park(std::optional<uint64_t> until_us) {
  Actor& self = *running_;
  self.is_parked = true;
  if (until_us) {
    self.due = Due{*until_us, ++waits_};
    sleeping_.emplace(*self.due, &self);
  }
  give_back(self, false);
}

void WorldThreads::wake(Actor& actor) {
  if (!std::exchange(actor.is_parked, false)) return;
  if (actor.due) sleeping_.erase(*actor.due);
  actor.due.reset();
  ready_.push_back(&actor);
}

void WorldThreads::give_turn(Actor& actor) {
  running_ = &actor;
  leaving(&loop_left_.fake_stack, actor.stack, kStackBytes);
  ::swapcontext(&loop_, &actor.context);
  arrived(loop_left_.fake_stack, nullptr, nullptr);
}

void WorldThreads::give_back(Actor& actor, bool for_good) {
  running_ = nullptr;
  leaving(for_good ? nullptr : &actor.fake_stack, loop_left_.bottom, loop_left_.bytes);
  ::swapcontext(&actor.context, &loop_);
  arrived(actor.fake_stack, &loop_left_.bottom, &loop_left_.bytes);
}

bool WorldThreads::run_ready() {
  while (!sleeping_.empty() && sleeping_.begin()->first.first <= time_.now_us()) {
    wake(*sleeping_.begin()->second);
  }
  if (ready_.empty()) return false;
  for (size_t count = ready_.size(); count > 0; --count) {
    Actor* next = ready_.front();
    ready_.pop_front();
    give_turn(*next);
  }
  return true;
}

std::optional<uint64_t> WorldThreads::next_us() const {
  if (!ready_.empty()) return time_.now_us();
  if (sleeping_.empty()) return std::nullopt;
  return sleeping_.begin()->first.first;
}

void WorldThreads::let_pass(const std::function<bool()>& is_over,
                            std::optional<uint64_t> until_us) {
  while (!is_over()) {
    if (run_ready()) continue;
    std::optional<uint64_t> next = next_us();
    if (until_us) next = std::min(next.value_or(UINT64_MAX), *until_us);
    OUTRIGGER_ASSERT(next && "the loop's thread waits for ever");
    time_.advance_to(*next);
    if (until_us && *next == *until_us && !run_ready()) return;
  }
}

}  // namespace outrigger::world
