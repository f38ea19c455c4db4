#pragma once
// The runtime's end of the link (abi/link.h): what the agent may ask of a stopped process.

#include "abi/link.h"
#include "abi/segment.h"
#include "runtime/host/thread_block.h"

namespace cairn::runtime {

// Capture: connects, says Hello, serves until kThaw or the end of the connection.
void serve_capture(ThreadBlock* t, abi::ProcessSlot* slot, std::uint32_t freeze_word);

// A parked thread that is not the server runs what the server asks of it.
void run_thread_calls(ThreadBlock* t);

// A connected socket with buffers of its own.
class LinkServer {
 public:
  // Connects to the agent of this job; false if there is none.
  bool connect(abi::LinkPurpose purpose, std::int32_t slot, std::uint32_t freeze_word);
  // Serves until the conversation ends: true for kThaw or kGo, false if the connection ended. A child
  // that was made meanwhile (kFork) returns from its own conversation in the same way.
  bool serve(ThreadBlock* t);
  void close();

 private:
  bool read_all(void* to, std::uint64_t bytes);
  bool write_all(const void* from, std::uint64_t bytes);
  bool reply(abi::LinkType type, std::int32_t status, const void* payload, std::uint64_t bytes);
  bool receive_header(abi::LinkHeader* header);
  bool handle(ThreadBlock* t, const abi::LinkHeader& header);
  bool syscalls(ThreadBlock* t, const abi::LinkHeader& header);
  bool read_memory(const abi::LinkHeader& header);
  bool write_memory(const abi::LinkHeader& header);
  bool send_fds(const abi::LinkHeader& header);
  bool receive_fds(const abi::LinkHeader& header);
  bool list_fds(const abi::LinkHeader& header);
  bool threads(ThreadBlock* t, const abi::LinkHeader& header);
  bool runtime_state(const abi::LinkHeader& header);
  bool read_xsave(const abi::LinkHeader& header);
  bool map(const abi::LinkHeader& header);
  bool fork_process(ThreadBlock* t, const abi::LinkHeader& header);
  void begin_as_child(ThreadBlock* t);

  int fd_ = -1;
  abi::LinkPurpose purpose_ = abi::LinkPurpose::kCapture;
  std::uint64_t buffer_ = 0;    // host memory for payloads
  std::uint64_t scratch_ = 0;   // host memory that the agent may use
  int received_[abi::kFdsPerMessage];
  int received_count_ = 0;
  bool prepared_ = false;
};

}  // namespace cairn::runtime
