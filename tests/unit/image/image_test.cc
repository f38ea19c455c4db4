#include "image/image.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <random>
#include <set>

namespace cairn::image {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

ProcessImage small_process() {
  ProcessImage process;
  process.set_pid(100);
  process.add_threads()->set_tid(100);
  return process;
}

// Sets every field of a message, and of those below it, to a value of its own.
void fill_completely(Message& message, std::mt19937_64& random, int depth = 0) {
  const Descriptor* type = message.GetDescriptor();
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    const bool many = field->is_repeated();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (depth < 8)
          fill_completely(*(many ? reflection->AddMessage(&message, field)
                                 : reflection->MutableMessage(&message, field)),
                          random, depth + 1);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        many ? reflection->AddUInt64(&message, field, random())
             : reflection->SetUInt64(&message, field, random());
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        many ? reflection->AddInt64(&message, field, static_cast<std::int64_t>(random()))
             : reflection->SetInt64(&message, field, static_cast<std::int64_t>(random()));
        break;
      case FieldDescriptor::CPPTYPE_UINT32:
        many ? reflection->AddUInt32(&message, field, static_cast<std::uint32_t>(random()))
             : reflection->SetUInt32(&message, field, static_cast<std::uint32_t>(random()));
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        many ? reflection->AddInt32(&message, field, static_cast<std::int32_t>(random()))
             : reflection->SetInt32(&message, field, static_cast<std::int32_t>(random()));
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        many ? reflection->AddBool(&message, field, true)
             : reflection->SetBool(&message, field, true);
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        many ? reflection->AddEnumValue(&message, field, 1)
             : reflection->SetEnumValue(&message, field, 1);
        break;
      case FieldDescriptor::CPPTYPE_STRING: {
        std::string text = std::to_string(random());
        if (field->type() == FieldDescriptor::TYPE_BYTES) text += std::string("\0\377", 2);
        many ? reflection->AddString(&message, field, text)
             : reflection->SetString(&message, field, text);
        break;
      }
      default:
        FAIL() << "a field of a type that the schema does not use: " << field->full_name();
    }
  }
}

TEST(ProcessImageTest, EveryFieldSurvives) {
  std::mt19937_64 random(1);
  ProcessImage process;
  fill_completely(process, random);
  // What decoding checks must make sense.
  process.set_pid(4194304);
  process.set_stop_signal(SIGTSTP);
  process.mutable_threads(0)->set_tid(1);
  process.mutable_descriptors(0)->set_number(0);
  process.mutable_regions(0)->set_start(0xffff'ffff'ffff'e000);
  process.mutable_regions(0)->set_length(4096);
  *process.mutable_header() = make_header();
  const auto bytes = encode(process);
  ASSERT_TRUE(bytes.has_value());
  const auto back = decode_process(*bytes, "test");
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(back->SerializeAsString(), process.SerializeAsString());
  EXPECT_EQ(back->header().version(), kFormatVersion);
}

TEST(KernelObjectTest, EveryKindSurvivesAndHasItsName) {
  std::mt19937_64 random(2);
  const auto* oneof = KernelObject::descriptor()->FindOneofByName("kind");
  std::set<std::string_view> names;
  for (int i = 0; i < oneof->field_count(); ++i) {
    KernelObject object;
    object.set_id(~0ULL - static_cast<std::uint64_t>(i));
    const FieldDescriptor* field = oneof->field(i);
    fill_completely(*object.GetReflection()->MutableMessage(&object, field), random);
    *object.mutable_header() = make_header();
    const auto bytes = encode(object);
    ASSERT_TRUE(bytes.has_value());
    const auto back = decode_object(*bytes, "test");
    ASSERT_TRUE(back.has_value()) << back.error().message();
    EXPECT_EQ(back->SerializeAsString(), object.SerializeAsString());
    EXPECT_EQ(kind_name(*back), field->name());
    names.insert(kind_name(*back));
  }
  EXPECT_EQ(names.size(), static_cast<std::size_t>(oneof->field_count()));
  EXPECT_EQ(kind_name(KernelObject()), "nothing");
}

TEST(KernelObjectTest, AnEventFdKeepsAll64Bits) {
  KernelObject object;
  object.set_id(1);
  object.mutable_eventfd()->set_count(0xffff'ffff'ffff'fffe);
  const auto back = decode_object(*encode(object), "test");
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->eventfd().count(), 0xffff'ffff'ffff'fffe);
}

// Image records may come from files that are damaged or made by others: a reason, never a crash.
TEST(DecodeTest, RefusesWhatContradictsItself) {
  const auto refused = [](const ProcessImage& process, const std::string& reason) {
    const auto back = decode_process(*encode(process), "DIR/1/node-0.meta, process 100");
    ASSERT_FALSE(back.has_value()) << reason;
    EXPECT_NE(back.error().message().find(reason), std::string::npos) << back.error().message();
    EXPECT_NE(back.error().message().find("node-0.meta"), std::string::npos);
  };
  ASSERT_TRUE(decode_process(*encode(small_process()), "whole").has_value());
  {
    ProcessImage process = small_process();
    process.clear_pid();
    refused(process, "no pid");
  }
  {
    ProcessImage process = small_process();
    process.clear_threads();
    refused(process, "no thread");
    process.set_zombie(true);
    EXPECT_TRUE(decode_process(*encode(process), "zombie").has_value());
  }
  {
    ProcessImage process = small_process();
    process.set_stop_signal(SIGCONT);
    refused(process, "stop signal");
  }
  {
    ProcessImage process = small_process();
    process.add_threads()->set_tid(100);
    refused(process, "tid");
  }
  {
    ProcessImage process = small_process();
    for (const std::uint64_t id : {1, 2}) {
      auto* descriptor = process.add_descriptors();
      descriptor->set_number(3);
      descriptor->set_object_id(id);
    }
    refused(process, "descriptor 3");
  }
  {
    ProcessImage process = small_process();
    for (const std::uint64_t start : {0x1000, 0x2000}) {
      auto* region = process.add_regions();
      region->set_start(start);
      region->set_length(0x2000);
    }
    refused(process, "overlap");
    process.mutable_regions(0)->set_length(1);
    refused(process, "whole pages");
    process.mutable_regions(0)->set_start(~0ULL - 0xfff);
    process.mutable_regions(0)->set_length(0x2000);
    refused(process, "address space");
  }
}

TEST(DecodeTest, RefusesNewerFormatsUnknownKindsAndNoise) {
  ProcessImage newer = small_process();
  newer.mutable_header()->set_version(kFormatVersion + 1);
  const auto process = decode_process(newer.SerializeAsString(), "x");
  ASSERT_FALSE(process.has_value());
  EXPECT_NE(process.error().message().find("newer"), std::string::npos);
  EXPECT_FALSE(decode_process(small_process().SerializeAsString(), "no header").has_value());
  EXPECT_FALSE(decode_process("", "empty").has_value());

  KernelObject unknown;
  unknown.set_id(5);
  *unknown.mutable_header() = make_header();
  // Field 900, of length 0: a kind of a later version.
  const std::string bytes = unknown.SerializeAsString() + std::string("\xa2\x38\x00", 3);
  const auto object = decode_object(bytes, "x");
  ASSERT_FALSE(object.has_value());
  EXPECT_NE(object.error().message().find("does not know"), std::string::npos);

  std::mt19937_64 random(3);
  const std::string whole = *encode(small_process());
  for (std::size_t length = 0; length + 1 < whole.size(); ++length)
    (void)decode_process(std::string_view(whole).substr(0, length), "truncated");
  for (int i = 0; i < 2000; ++i) {
    std::string noise(random() % 200, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    EXPECT_FALSE(decode_process(noise, "noise").has_value());
  }
}

TEST(ReferencesTest, EverythingReferredToMustBeThere) {
  Generation generation;
  generation.processes.push_back(small_process());
  auto* descriptor = generation.processes[0].add_descriptors();
  descriptor->set_number(0);
  descriptor->set_object_id(1);
  EXPECT_FALSE(check_references(generation).has_value());

  KernelObject end;
  end.set_id(1);
  end.mutable_pipe_end()->set_pipe_id(2);
  generation.objects.push_back(end);
  EXPECT_FALSE(check_references(generation).has_value());

  KernelObject pipe;
  pipe.set_id(2);
  pipe.mutable_pipe()->set_data("data");
  generation.objects.push_back(pipe);
  EXPECT_TRUE(check_references(generation).has_value());
  EXPECT_EQ(generation.object(2)->pipe().data(), "data");
  EXPECT_EQ(generation.object(3), nullptr);

  // An epoll entry whose file has no descriptor left refers to nothing; one with an id must find
  // it.
  KernelObject epoll;
  epoll.set_id(3);
  epoll.mutable_epoll()->add_entries()->set_number(7);
  generation.objects.push_back(epoll);
  EXPECT_TRUE(check_references(generation).has_value());
  generation.objects[2].mutable_epoll()->mutable_entries(0)->set_object_id(9);
  const auto missing = check_references(generation);
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().message().find("epoll"), std::string::npos);

  generation.objects[2].mutable_epoll()->mutable_entries(0)->set_object_id(1);
  generation.processes.push_back(small_process());
  EXPECT_FALSE(check_references(generation).has_value()) << "two processes of one pid";
}

TEST(JsonTest, NamesFieldsAsTheSchemaDoes) {
  KernelObject object;
  object.set_id(18446744073709551615ULL);
  object.mutable_timerfd()->set_ticks(3);
  const auto text = to_json(object, /*pretty=*/false);
  ASSERT_TRUE(text.has_value());
  EXPECT_NE(text->find("\"timerfd\":{\"ticks\":\"3\"}"), std::string::npos) << *text;
  EXPECT_NE(text->find("18446744073709551615"), std::string::npos);
  EXPECT_NE(to_json(object, /*pretty=*/true)->find('\n'), std::string::npos);
}

TEST(JsonTest, PathsNeedNotBeUtf8) {
  const std::string path = "/tmp/caf\351/\303\274";
  KernelObject object;
  object.set_id(1);
  object.mutable_regular_file()->mutable_file()->set_path(path);
  const auto bytes = encode(object);
  ASSERT_TRUE(bytes.has_value());
  const auto back = decode_object(*bytes, "x");
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(back->regular_file().file().path(), path);
  const auto text = to_json(*back, /*pretty=*/false);
  ASSERT_TRUE(text.has_value()) << text.error().message();
  EXPECT_NE(text->find("/tmp/caf\\\\xe9/\\\\xc3\\\\xbc"), std::string::npos) << *text;
  object.mutable_regular_file()->mutable_file()->set_path("/tmp/\303\274");
  EXPECT_NE(to_json(object, /*pretty=*/false)->find("/tmp/\303\274"), std::string::npos);
}

}  // namespace
}  // namespace cairn::image
