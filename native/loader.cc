// bt_native.node: opens libtorch and then the core, so that a missing or wrong library is an error that JavaScript can
// catch, and locks files. Links nothing of torch; no arithmetic and no objects live here.
#include <dlfcn.h>
#include <link.h>
#include <napi.h>
#include <sys/file.h>

#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace {

Napi::Error failure(Napi::Env env, const char* code, const std::string& message) {
  auto error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, code));
  return error;
}

std::string absolute(const char* path) {
  char buffer[PATH_MAX];
  return realpath(path, buffer) != nullptr ? buffer : path;
}

// What became of an attempt to open a library: its handle, or why there is none.
struct Opened {
  void* library = nullptr;
  std::string reason;
};

// Opens `path`, unless a file of that name is already open from elsewhere: two copies of libtorch in one process
// register their operators twice, which ends it. Any thread.
Opened tryOpen(const std::string& path, int flags) {
  const std::string base = path.substr(path.rfind('/') + 1);
  if (void* present = dlopen(base.c_str(), RTLD_LAZY | RTLD_NOLOAD)) {
    link_map* map = nullptr;
    if (dlinfo(present, RTLD_DI_LINKMAP, &map) == 0 && absolute(map->l_name) != absolute(path.c_str())) {
      return {nullptr, path + ": this process already uses " + map->l_name + "; a process can hold one libtorch"};
    }
  }
  dlerror();
  void* library = dlopen(path.c_str(), flags);
  if (library != nullptr) return {library, ""};
  const char* reason = dlerror();
  return {nullptr, reason != nullptr ? reason : path + ": dlopen failed"};
}

void* open(Napi::Env env, const std::string& path, int flags) {
  const Opened opened = tryOpen(path, flags);
  if (opened.library == nullptr) throw failure(env, "BT_LIBRARY", opened.reason);
  return opened.library;
}

void* symbol(Napi::Env env, void* library, const char* name, const std::string& path) {
  void* address = dlsym(library, name);
  if (address == nullptr) throw failure(env, "BT_LIBRARY", path + ": has no symbol " + name);
  return address;
}

std::string pathArgument(Napi::Env env, Napi::Value value, const char* name) {
  if (!value.IsString()) throw failure(env, "BT_ARGUMENT", std::string(name) + ": expected a path");
  std::string path = value.As<Napi::String>();
  // Without a slash dlopen would search the system's folders.
  if (path.find('/') == std::string::npos || path.find('\0') != std::string::npos) {
    throw failure(env, "BT_ARGUMENT", std::string(name) + ": expected a path with a folder, got '" + path + "'");
  }
  return path;
}

constexpr int libraryFlags = RTLD_NOW | RTLD_GLOBAL;

std::vector<std::string> pathList(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsArray()) throw failure(env, "BT_ARGUMENT", "paths: expected an array of paths");
  auto array = info[0].As<Napi::Array>();
  std::vector<std::string> paths;
  for (uint32_t i = 0; i < array.Length(); i++) {
    const std::string name = "paths[" + std::to_string(i) + "]";
    paths.push_back(pathArgument(env, array[i], name.c_str()));
  }
  return paths;
}

// What libtorch's libraries read from the environment; what the user has set stays.
void setEnvironment() {
  // libgomp reads this as it is opened. By default an idle thread spins for some 15 ms before it sleeps, which takes
  // the core from whoever else wants it: beside other busy programs training ran 1.3 times slower. A millisecond spans
  // the gaps between two products.
  setenv("GOMP_SPINCOUNT", "20000", /*overwrite=*/0);
  // oneDNN and libtorch's binding of it each keep what they make for a shape of product, some 0.3 MB, and by default
  // for 1,024 shapes. Hardly two batches have as many tokens, so nothing is used again but within a batch, which has
  // some 60 shapes: a run grew by 190 MB with each 16 batches, to no use.
  setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "96", /*overwrite=*/0);
  setenv("LRU_CACHE_CAPACITY", "96", /*overwrite=*/0);
}

Napi::Value openLibraries(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::vector<std::string> paths = pathList(info);
  setEnvironment();
  for (const std::string& path : paths) open(env, path, libraryFlags);
  void* address = dlsym(RTLD_DEFAULT, "aoti_torch_abi_version");
  if (address == nullptr)
    throw failure(env, "BT_LIBRARY", "paths: none of these libraries is libtorch_cpu.so of 2.3 or later");
  const uint64_t version =
      reinterpret_cast<uint64_t (*)()>(address)();  // major, minor, patch: a byte each, from the top
  return Napi::String::New(env, std::to_string(version >> 56) + "." + std::to_string((version >> 48) & 0xff));
}

// Opens libraries on a thread of libuv's pool. Node waits for that thread before it lets the process end.
class OpenAhead : public Napi::AsyncWorker {
 public:
  OpenAhead(Napi::Env env, std::vector<std::string> paths)
      : Napi::AsyncWorker(env), paths_(std::move(paths)), deferred_(Napi::Promise::Deferred::New(env)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override {
    for (const std::string& path : paths_) {
      const Opened opened = tryOpen(path, libraryFlags);
      if (opened.library == nullptr) return SetError(opened.reason);
    }
  }
  void OnOK() override { deferred_.Resolve(Env().Undefined()); }
  void OnError(const Napi::Error& error) override {
    deferred_.Reject(failure(Env(), "BT_LIBRARY", error.Message()).Value());
  }

  std::vector<std::string> paths_;
  Napi::Promise::Deferred deferred_;
};

Napi::Value openLibrariesAhead(const Napi::CallbackInfo& info) {
  std::vector<std::string> paths = pathList(info);
  setEnvironment();                                            // here: another thread may not change the environment
  auto* worker = new OpenAhead(info.Env(), std::move(paths));  // frees itself
  Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value openCore(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string path = pathArgument(env, info[0], "path");
  void* library = open(env, path, RTLD_NOW | RTLD_LOCAL);
  auto init = reinterpret_cast<napi_value (*)(napi_env, napi_value)>(symbol(env, library, "bt_core_init", path));
  Napi::Value core(env, init(env, Napi::Object::New(env)));
  if (env.IsExceptionPending()) throw env.GetAndClearPendingException();
  return core;
}

int descriptor(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || info[0].As<Napi::Number>().Int32Value() < 0) {
    throw failure(info.Env(), "BT_ARGUMENT", "fd: expected a file descriptor");
  }
  return info[0].As<Napi::Number>().Int32Value();
}

Napi::Value lock(const Napi::CallbackInfo& info) {
  const int fd = descriptor(info);
  int result;
  do {
    result = flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EWOULDBLOCK) {
    throw failure(info.Env(), "BT_IO", "flock(" + std::to_string(fd) + "): " + std::strerror(errno));
  }
  return Napi::Boolean::New(info.Env(), result == 0);
}

void unlock(const Napi::CallbackInfo& info) {
  const int fd = descriptor(info);
  if (flock(fd, LOCK_UN) != 0) {
    throw failure(info.Env(), "BT_IO", "flock(" + std::to_string(fd) + "): " + std::strerror(errno));
  }
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["openLibraries"] = Napi::Function::New(env, openLibraries, "openLibraries");
  exports["openLibrariesAhead"] = Napi::Function::New(env, openLibrariesAhead, "openLibrariesAhead");
  exports["openCore"] = Napi::Function::New(env, openCore, "openCore");
  exports["lock"] = Napi::Function::New(env, lock, "lock");
  exports["unlock"] = Napi::Function::New(env, unlock, "unlock");
  return exports;
}

}  // namespace

NODE_API_MODULE(bt_native, init)
