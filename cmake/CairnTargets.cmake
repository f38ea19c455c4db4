# One way to declare each sort of target, so that every folder is compiled alike.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS ON)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

set(CAIRN_SANITIZE "" CACHE STRING "Sanitizers for the hosted parts, e.g. address,undefined")
set(CAIRN_WARNINGS -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
    -Wno-missing-field-initializers)

# spdlog and fmt are used header-only: a static, relocatable build needs no .so of theirs.
add_library(cairn_options INTERFACE)
target_compile_options(cairn_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${CAIRN_WARNINGS}>)
target_compile_definitions(cairn_options INTERFACE FMT_HEADER_ONLY=1 SPDLOG_FMT_EXTERNAL=1
    _FILE_OFFSET_BITS=64)
# -iquote, not -I: "sys/syscall.h" is ours, <sys/syscall.h> is the libc's.
target_compile_options(cairn_options INTERFACE "SHELL:-iquote ${CMAKE_SOURCE_DIR}/src")
target_include_directories(cairn_options INTERFACE ${CMAKE_SOURCE_DIR}/include)
if(CAIRN_SANITIZE)
  target_compile_options(cairn_options INTERFACE -fsanitize=${CAIRN_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(cairn_options INTERFACE -fsanitize=${CAIRN_SANITIZE})
endif()

# A library of the hosted parts (agent, CLI, image, storage ...).
function(cairn_hosted_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC cairn_options)
endfunction()

# A program that runs on old systems, too: nothing of it is loaded at run time.
function(cairn_static_program name)
  if(NOT CAIRN_SANITIZE)
    target_link_options(${name} PRIVATE -static -no-pie)
  endif()
endfunction()

# A GoogleTest program, registered with CTest under its own name.
function(cairn_unit_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} cairn_options GTest::gtest_main GTest::gtest)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests/unit)
  add_test(NAME unit.${name} COMMAND ${name})
  set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 600)
endfunction()

find_package(GTest REQUIRED)
