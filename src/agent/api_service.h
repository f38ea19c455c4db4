#pragma once
// Hears the program when it asks for a checkpoint by itself (abi/api.h).

#include <functional>
#include <thread>

#include "abi/segment.h"

namespace cairn::agent {

class ApiService {
 public:
  // `asked` is called on a thread of ours with the newest ticket.
  using Asked = std::function<void(std::uint32_t ticket)>;

  ApiService(abi::ApiState& state, Asked asked)
      : state_(state),
        asked_(std::move(asked)),
        thread_([this](const std::stop_token& stop) { serve(stop); }) {}
  ~ApiService();
  ApiService(const ApiService&) = delete;
  ApiService& operator=(const ApiService&) = delete;

 private:
  void serve(const std::stop_token& stop);

  abi::ApiState& state_;
  const Asked asked_;
  std::jthread thread_;
};

// All tickets up to this one have the result: 0 or an errno.
void answer_tickets(abi::ApiState& state, std::uint32_t ticket, int result);

}  // namespace cairn::agent
