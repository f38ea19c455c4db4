#include "resources/timerfd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace cairn::resources {
namespace {

constexpr long kBillion = 1'000'000'000;
constexpr unsigned long kSetTicks = _IOW('T', 0, std::uint64_t);  // TFD_IOC_SET_TICKS, Linux 3.17

bool matches(const OpenFile& file) { return file.link == "anon_inode:[timerfd]"; }

Result<timespec> parse_time(const std::string& fdinfo, const char* name) {
  long long seconds = 0;
  long long nanoseconds = 0;
  const auto text = fdinfo_value(fdinfo, name);
  if (std::sscanf(text.c_str(), "(%lld, %lld)", &seconds, &nanoseconds) != 2)
    return refusal("read a timerfd's fdinfo");
  return timespec{seconds, static_cast<long>(nanoseconds)};
}

void set_time(image::TimeSpec& record, const timespec& time) {
  record.set_seconds(time.tv_sec);
  record.set_nanoseconds(time.tv_nsec);
}

timespec time_of(const image::TimeSpec& record) {
  return {record.seconds(), static_cast<long>(record.nanoseconds())};
}

timespec add(timespec a, const timespec& b) {
  a.tv_sec += b.tv_sec;
  a.tv_nsec += b.tv_nsec;
  if (a.tv_nsec >= kBillion) {
    ++a.tv_sec;
    a.tv_nsec -= kBillion;
  }
  return a;
}

bool is_zero(const timespec& time) { return time.tv_sec == 0 && time.tv_nsec == 0; }

bool is_absolute_wall_clock(const image::TimerFd& record) {
  return (record.settime_flags() & TFD_TIMER_ABSTIME) &&
         (record.clock() == CLOCK_REALTIME || record.clock() == CLOCK_REALTIME_ALARM);
}

Result<> capture(CaptureContext&, OpenFile& file, image::KernelObject& object) {
  CAIRN_ASSIGN(const auto fdinfo, fdinfo_of(file.copy.get()));
  auto& record = *object.mutable_timerfd();
  record.set_clock(std::atoi(fdinfo_value(fdinfo, "clockid").c_str()));
  record.set_ticks(std::strtoull(fdinfo_value(fdinfo, "ticks").c_str(), nullptr, 10));
  record.set_settime_flags(static_cast<std::uint32_t>(
      std::strtoul(fdinfo_value(fdinfo, "settime flags").c_str(), nullptr, 8)));
  CAIRN_ASSIGN(auto left, parse_time(fdinfo, "it_value"));
  CAIRN_ASSIGN(const auto interval, parse_time(fdinfo, "it_interval"));
  // A point in the world's time stays one; every other clock is the guest's, which was stopped.
  if (is_absolute_wall_clock(record) && !is_zero(left)) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    left = add(now, left);
  }
  set_time(*record.mutable_state()->mutable_left(), left);
  set_time(*record.mutable_state()->mutable_interval(), interval);
  return {};
}

Result<Fd> create(RebuildContext&, const image::KernelObject& object) {
  Fd fd(::timerfd_create(object.timerfd().clock(), TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd.valid()) return os_failure("make a timerfd");
  return fd;
}

// An expiration that was not read holds a periodic timer: its next one is computed at the read. It is
// made to expire at once, so that it is in that same state again.
Result<> wait_expired(int fd) {
  pollfd entry{fd, POLLIN, 0};
  if (::poll(&entry, 1, 10000) != 1) return failure(ETIMEDOUT, "let a timerfd expire");
  return {};
}

Result<> start(int fd, const image::TimerFd& record) {
  itimerspec setting{time_of(record.state().interval()), time_of(record.state().left())};
  const int flags = static_cast<int>(record.settime_flags());
  const bool expired_periodic = record.ticks() > 0 && is_zero(setting.it_value) &&
                                !is_zero(setting.it_interval);
  if (expired_periodic) {
    setting.it_value = {0, 1};
  } else if ((flags & TFD_TIMER_ABSTIME) && !is_absolute_wall_clock(record) &&
             !is_zero(setting.it_value)) {
    timespec now{};
    if (::clock_gettime(record.clock(), &now) != 0) return os_failure("read a timerfd's clock");
    setting.it_value = add(now, setting.it_value);
  }
  if (::timerfd_settime(fd, flags, &setting, nullptr) != 0) return os_failure("start a timerfd");
  if (expired_periodic) CAIRN_TRY(wait_expired(fd));
  const std::uint64_t ticks = record.ticks();
  if (ticks > 0 && ::ioctl(fd, kSetTicks, &ticks) != 0)
    return os_failure("set a timerfd's expirations");
  return {};
}

}  // namespace

Result<> start_timerfds(RebuildContext& context) {
  for (const auto& object : context.objects) {
    const auto made = context.made.find(object.id());
    if (object.has_timerfd() && made != context.made.end())
      CAIRN_TRY(start(made->second.get(), object.timerfd()));
  }
  return {};
}

const Kind kTimerFdKind{"timerfd", image::KernelObject::kTimerfd, Maker::kAgent, matches,
                        capture, create, nullptr};

}  // namespace cairn::resources
