#include "runtime/restorer/ids.h"

#include "runtime/host/job.h"
#include "runtime/host/support.h"

namespace cairn::runtime {
namespace {

constexpr std::int32_t kNobody = 0x7ffffff0;  // no process or thread has this real id
constexpr std::int32_t kInit = 1;

abi::IdTable& table() {
  return abi::job_segment()->ids;
}

void put(std::int32_t virtual_id, std::int32_t real_id) {
  // by_real comes second: who finds a virtual id there can use it at once.
  if (table().by_virtual.insert(virtual_id, real_id) == 0 ||
      table().by_real.insert(real_id, virtual_id) == 0)
    die("too many processes and threads since the restart");
  table().used.store(1);
}

}  // namespace

bool ids_shifted() {
  return job_attached() && table().used.load(std::memory_order_relaxed) != 0;
}

std::int32_t adopt_new_id(std::int32_t real) {
  if (!ids_shifted()) return real;
  // Known already: the other side has asked, or the kernel uses the number of one that is gone
  // anew.
  std::int32_t known = table().by_real.find(real);
  if (known != 0) return known;
  bool taken = table().by_virtual.find(real) != 0 || table().groups_by_virtual.find(real) != 0;
  if (!taken) return real;  // no pair is needed
  auto fresh = abi::kFirstInventedId + static_cast<std::int32_t>(table().invented.fetch_add(1));
  if (table().by_virtual.insert(fresh, real) == 0)
    die("too many processes and threads since the restart");
  return table().by_real.insert(real, fresh);
}

std::int32_t to_real(std::int32_t virtual_id) {
  if (virtual_id <= 0 || !ids_shifted()) return virtual_id;
  std::int32_t real = table().by_virtual.find(virtual_id);
  if (real != 0) return real;
  // The number as such: some other process of the machine, unless it is one of ours by another
  // name.
  return table().by_real.find(virtual_id) != 0 ? kNobody : virtual_id;
}

std::int32_t to_virtual(std::int32_t real_id) {
  if (real_id <= 0 || !ids_shifted()) return real_id;
  std::int32_t known = table().by_real.find(real_id);
  return known != 0 ? known : real_id;
}

std::int32_t to_real_group(std::int32_t virtual_id) {
  if (virtual_id <= 0 || !ids_shifted()) return virtual_id;
  std::int32_t real = table().groups_by_virtual.find(virtual_id);
  return real != 0 ? real : to_real(virtual_id);
}

std::int32_t to_virtual_group(std::int32_t real_id) {
  if (real_id <= 0 || !ids_shifted()) return real_id;
  std::int32_t known = table().groups_by_real.find(real_id);
  return known != 0 ? known : to_virtual(real_id);
}

bool hidden_by_ours(std::int32_t real_id) {
  return ids_shifted() && table().by_real.find(real_id) == 0 &&
         table().by_virtual.find(real_id) != 0;
}

// A CPU clock of a process or thread holds its id: ~id << 3 | kind (the kernel's
// MAKE_PROCESS_CPUCLOCK); id 0 is the caller's.
std::int64_t real_clock(std::int64_t clock) {
  auto id = static_cast<std::int32_t>(clock);
  bool of_descriptor = (id & 7) == 3;
  if (id >= 0 || of_descriptor) return clock;
  std::int32_t owner = ~(id >> 3);
  return (~to_real(owner) << 3) | (id & 7);
}

std::int32_t virtual_clock(std::int32_t clock) {
  bool of_descriptor = (clock & 7) == 3;
  if (clock >= 0 || of_descriptor) return clock;
  return (~to_virtual(~(clock >> 3)) << 3) | (clock & 7);
}

bool siginfo_holds_pid(std::int32_t signal, std::int32_t code) {
  constexpr std::int32_t kSiTimer = -2, kSiSigio = -5;
  if (code > 0) return signal == kSigchld && code != kSiKernel;
  return code != kSiTimer && code != kSiSigio;
}

void bind_id(std::int32_t virtual_id, std::int32_t real_id) {
  put(virtual_id, real_id);
}

void bind_group(std::int32_t virtual_id, std::int32_t real_id) {
  if (table().groups_by_virtual.insert(virtual_id, real_id) == 0 ||
      table().groups_by_real.insert(real_id, virtual_id) == 0)
    die("too many process groups since the restart");
  table().used.store(1);
}

// init never stands for another process, and none for init: a signal would hit the wrong one.
void bind_outside(std::int32_t virtual_id, std::int32_t real_id) {
  if (virtual_id != kInit)
    (void)table().by_virtual.insert(virtual_id, real_id == kInit ? kNobody : real_id);
  if (real_id != kInit) (void)table().by_real.insert(real_id, virtual_id);
  table().used.store(1);
}

}  // namespace cairn::runtime
