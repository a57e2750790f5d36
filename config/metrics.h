// Numbers for Prometheus. main() owns one Metrics and passes it down; a module asks once for each
// number it keeps, holds the reference, and updates it without a lock or a lookup.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
class Registry;
}

namespace outrigger {

// Thread-safe. The references returned live as long as the Metrics.
class Metrics {
 public:
  using Labels = std::map<std::string, std::string>;
  using Counter = prometheus::Counter;      // Increment(by = 1)
  using Gauge = prometheus::Gauge;          // Set(to), Increment(by = 1), Decrement(by = 1)
  using Histogram = prometheus::Histogram;  // Observe(value)

  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `name` without the prefix "outrigger_", with its unit last: "capture_seconds". Asking again
  // with the same name and labels gives the same number; one name is one kind of number.
  Counter& counter(const std::string& name, const std::string& help, const Labels& labels = {});
  Gauge& gauge(const std::string& name, const std::string& help, const Labels& labels = {});
  // `bounds`: upper edges of the buckets, ascending.
  Histogram& histogram(const std::string& name, const std::string& help,
                       const std::vector<double>& bounds, const Labels& labels = {});

  // 50 us to 10 s: for latencies in seconds.
  [[nodiscard]] static std::vector<double> latency_bounds();
  // 1, 2, 4 ... 4096: for sizes of batches.
  [[nodiscard]] static std::vector<double> count_bounds();

  // All numbers in the Prometheus text format.
  [[nodiscard]] std::string text() const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
};

}  // namespace outrigger
