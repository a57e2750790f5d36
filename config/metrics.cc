#include "config/metrics.h"

#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace outrigger {
namespace {

constexpr const char* kPrefix = "outrigger_";

}  // namespace

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {}
Metrics::~Metrics() = default;

Metrics::Counter& Metrics::counter(const std::string& name, const std::string& help,
                                   const Labels& labels) {
  return prometheus::BuildCounter()
      .Name(kPrefix + name)
      .Help(help)
      .Register(*registry_)
      .Add(labels);
}

Metrics::Gauge& Metrics::gauge(const std::string& name, const std::string& help,
                               const Labels& labels) {
  return prometheus::BuildGauge().Name(kPrefix + name).Help(help).Register(*registry_).Add(labels);
}

Metrics::Histogram& Metrics::histogram(const std::string& name, const std::string& help,
                                       const std::vector<double>& bounds, const Labels& labels) {
  return prometheus::BuildHistogram()
      .Name(kPrefix + name)
      .Help(help)
      .Register(*registry_)
      .Add(labels, bounds);
}

std::vector<double> Metrics::latency_bounds() {
  return {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02,
          0.05,    0.1,    0.2,    0.5,    1.0,   2.0,   5.0,   10.0};
}

std::vector<double> Metrics::count_bounds() {
  std::vector<double> bounds;
  for (double count = 1; count <= 4096; count *= 2) bounds.push_back(count);
  return bounds;
}

std::string Metrics::text() const {
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace outrigger
