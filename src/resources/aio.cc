#include "resources/aio.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/aio_abi.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>

#include "resources/open_files.h"

namespace cairn::resources {
namespace {

// struct aio_ring of fs/aio.c: what a program's own collecting relies upon.
struct Ring {
  std::uint32_t id, events, head, tail, magic, compatible, incompatible, head_bytes;
};
static_assert(sizeof(Ring) == 32);
constexpr std::uint32_t kMagic = 0xa10a10a1;
constexpr std::uint32_t kAtOnce = 64;

Result<Ring> ring_at(RemoteProcess& process, std::uint64_t address) {
  CAIRN_ASSIGN(const auto ring, process.read_object<Ring>(address));
  if (ring.magic != kMagic || ring.head_bytes != sizeof ring || ring.events == 0 ||
      ring.head >= ring.events || ring.tail >= ring.events)
    return refusal(
        fmt::format("the ring of asynchronous I/O at {:#x} is of another format", address));
  return ring;
}

// The kernel makes more room than it is asked for: what is asked for is about a half of it.
Result<std::uint64_t> make_context(RebuildContext& context, const image::AioContext& record) {
  auto& process = context.process;
  for (std::uint32_t asked = (record.events() - 2) / 2; asked > 0; --asked) {
    CAIRN_ASSIGN(const auto place, process.scratch_object(std::uint64_t{0}));
    CAIRN_TRY(process.syscall(SYS_io_setup, asked, place.address()));
    CAIRN_ASSIGN(const auto address, process.read_object<std::uint64_t>(place.address()));
    CAIRN_ASSIGN(const auto ring, ring_at(process, address));
    if (ring.events == record.events()) return address;
    CAIRN_TRY(process.syscall(SYS_io_destroy, address));
    if (ring.events < record.events()) break;
  }
  return refusal(fmt::format(
      "this kernel makes no ring of asynchronous I/O with room for {} events", record.events()));
}

// Requests that complete at once, one after another round the ring.
Result<> advance(RebuildContext& context, std::uint64_t ring, std::uint32_t count, int number) {
  auto& process = context.process;
  const std::uint32_t some = std::min(count, kAtOnce);
  iocb request{};
  request.aio_lio_opcode = IOCB_CMD_PREAD;
  request.aio_fildes = static_cast<std::uint32_t>(number);
  CAIRN_ASSIGN(const auto place, process.scratch_object(request));
  const std::vector<std::uint64_t> list(some, place.address());
  CAIRN_ASSIGN(const auto pointers, process.scratch_bytes(std::as_bytes(std::span(list))));
  const std::vector<io_event> none(some);
  CAIRN_ASSIGN(const auto events, process.scratch_bytes(std::as_bytes(std::span(none))));
  for (std::uint32_t done = 0; done < count;) {
    const std::uint32_t now = std::min(some, count - done);
    CAIRN_ASSIGN(const auto given, process.syscall(SYS_io_submit, ring, now, pointers.address()));
    CAIRN_TRY(process.syscall(SYS_io_getevents, ring, given, given, events.address(), 0));
    done += static_cast<std::uint32_t>(given);
  }
  return {};
}

Result<> restore_context(RebuildContext& context, const image::AioContext& record, int number) {
  auto& process = context.process;
  CAIRN_ASSIGN(const auto made, make_context(context, record));
  CAIRN_TRY(advance(context, made, record.tail(), number));
  CAIRN_TRY(process.syscall(SYS_mremap, made, record.length(), record.length(),
                            MREMAP_MAYMOVE | MREMAP_FIXED, record.address()));
  CAIRN_ASSIGN(const auto ring, ring_at(process, record.address()));
  if (ring.tail != record.tail())
    return refusal("a ring of asynchronous I/O does not get where it was");
  CAIRN_TRY(
      process.write(record.address() + sizeof(Ring), std::as_bytes(std::span(record.ring()))));
  return process.write_object(record.address() + offsetof(Ring, head), record.head());
}

}  // namespace

Result<> capture_aio(CaptureContext& context, std::uint64_t address, std::uint64_t length) {
  CAIRN_ASSIGN(const auto ring, ring_at(context.process, address));
  auto& record = *context.image.add_aio_contexts();
  record.set_address(address);
  record.set_length(length);
  record.set_events(ring.events);
  record.set_head(ring.head);
  record.set_tail(ring.tail);
  const std::uint64_t bytes = std::min(ring.events * sizeof(io_event), length - sizeof ring);
  std::string events(bytes, '\0');
  CAIRN_TRY(context.process.read(address + sizeof ring, std::as_writable_bytes(std::span(events))));
  record.set_ring(std::move(events));
  return {};
}

Result<> restore_aio(RebuildContext& context) {
  if (context.image.aio_contexts().empty()) return {};
  CAIRN_ASSIGN(const Fd null, open_nothing());
  return lend(context, null.get(), [&](int number) -> Result<> {
    for (const auto& record : context.image.aio_contexts())
      CAIRN_TRY(restore_context(context, record, number));
    return {};
  });
}

}  // namespace cairn::resources
