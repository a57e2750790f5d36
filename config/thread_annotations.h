// Which mutex guards which field, said so that the compiler checks it.
//
// "Under mutex_" in a comment is true on the day it is written. Here a field says
// GUARDED_BY(mutex_), a private helper REQUIRES(mutex_), and clang refuses a program in which
// anything is touched without its mutex (-Wthread-safety, an error; `tools/build fuzz` compiles
// every library that way). GCC reads nothing of this. The standard's mutexes carry no annotations,
// so those below stand in for them, at no cost.
//
// A lambda is checked as a function of its own, which holds nothing: wait in a loop, not with a
// predicate.
#pragma once

#include <mutex>
#include <shared_mutex>

#ifdef __clang__
#define OUTRIGGER_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define OUTRIGGER_THREAD_ATTRIBUTE(x)
#endif

#define CAPABILITY(name) OUTRIGGER_THREAD_ATTRIBUTE(capability(name))
#define SCOPED_CAPABILITY OUTRIGGER_THREAD_ATTRIBUTE(scoped_lockable)
// Of a field: read and written only while the mutex is held.
#define GUARDED_BY(mutex) OUTRIGGER_THREAD_ATTRIBUTE(guarded_by(mutex))
// Of a function: the caller holds it, and still does afterwards.
#define REQUIRES(...) OUTRIGGER_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) OUTRIGGER_THREAD_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
// Of a function: it takes it, or lets it go.
#define ACQUIRE(...) OUTRIGGER_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) OUTRIGGER_THREAD_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define RELEASE(...) OUTRIGGER_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) OUTRIGGER_THREAD_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
// Of a function whose locking cannot be followed; a comment there says why it is right.
#define NO_THREAD_SAFETY_ANALYSIS OUTRIGGER_THREAD_ATTRIBUTE(no_thread_safety_analysis)

namespace outrigger {

template <typename Standard>
class CAPABILITY("mutex") AnnotatedMutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }

 private:
  friend class Condition;
  Standard mutex_;
};

using Mutex = AnnotatedMutex<std::mutex>;
using RecursiveMutex = AnnotatedMutex<std::recursive_mutex>;

class CAPABILITY("mutex") SharedMutex {
 public:
  void lock() ACQUIRE() { mutex_.lock(); }
  void unlock() RELEASE() { mutex_.unlock(); }
  void lock_shared() ACQUIRE_SHARED() { mutex_.lock_shared(); }
  void unlock_shared() RELEASE_SHARED() { mutex_.unlock_shared(); }

 private:
  std::shared_mutex mutex_;
};

// Holds a mutex while it lives, but between unlock() and lock().
template <typename Annotated>
class SCOPED_CAPABILITY ScopedLock {
 public:
  explicit ScopedLock(Annotated& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~ScopedLock() RELEASE() {
    if (held_) mutex_.unlock();
  }
  ScopedLock(const ScopedLock&) = delete;
  ScopedLock& operator=(const ScopedLock&) = delete;

  void unlock() RELEASE() {
    held_ = false;
    mutex_.unlock();
  }
  void lock() ACQUIRE() {
    mutex_.lock();
    held_ = true;
  }

 private:
  Annotated& mutex_;
  bool held_ = true;
};

using MutexLock = ScopedLock<Mutex>;
using RecursiveMutexLock = ScopedLock<RecursiveMutex>;
using WriterLock = ScopedLock<SharedMutex>;

class SCOPED_CAPABILITY ReaderLock {
 public:
  explicit ReaderLock(SharedMutex& mutex) ACQUIRE_SHARED(mutex) : mutex_(mutex) {
    mutex_.lock_shared();
  }
  ~ReaderLock() RELEASE() { mutex_.unlock_shared(); }
  ReaderLock(const ReaderLock&) = delete;
  ReaderLock& operator=(const ReaderLock&) = delete;

 private:
  SharedMutex& mutex_;
};

}  // namespace outrigger
