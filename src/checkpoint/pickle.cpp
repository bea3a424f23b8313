#include "checkpoint/pickle.hpp"

#include <array>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "checkpoint/pickle_values.hpp"
#include "checkpoint/state_dict.hpp"
#include "checkpoint/stored_tensor.hpp"

namespace sam3trt {
namespace pickle {
namespace {

// The published checkpoint's pickle has 0.4 MB, 1465 tensors and about 40,000 objects.
constexpr size_t kMaxBytes = size_t{16} << 20U;
constexpr size_t kMaxValues = 1'000'000;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxArguments = 8;
constexpr size_t kMaxRank = 16;
constexpr size_t kMaxNameLength = 256;

/// Opcodes of state dicts; names and codes as in Python's pickletools.py.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNoneValue = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobalName = 'c',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTupleMark = 't',
  kSetItems = 'u',
  kEmptyTuple = ')',
  kEmptyList = ']',
  kEmptyDict = '}',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kProto = 0x80,
  kNewObject = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8A,
  kLong4 = 0x8B,
  kShortBinUnicode = 0x8C,
  kBinUnicode8 = 0x8D,
  kBinBytes8 = 0x8E,
  kEmptySet = 0x8F,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjectEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

struct Storage {
  const Global* type = nullptr;
  std::string_view key;
  uint64_t bytes = 0;
};

/// The stack machine of a pickle, for the opcodes above.
class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  StateDict run() {
    if (bytes_.size() > kMaxBytes) refuse("is larger than 16 MiB, too large for a state dict");
    while (step()) {
    }
    return StateDictFinder(values_, [this](const std::string& problem) { refuse(problem); })
        .find(pop(), tensors_);
  }

 private:
  [[noreturn]] void refuse(const std::string& problem) const {
    throw_bad_input(where_ + ": byte " + std::to_string(start_) + ": " + problem);
  }

  // --- Reading -------------------------------------------------------------------------------

  std::span<const std::byte> take(uint64_t count) {
    if (count > bytes_.size() - at_) refuse("the pickle is cut short");
    const auto result = bytes_.subspan(at_, count);
    at_ += count;
    return result;
  }

  uint64_t take_number(size_t size) {
    uint64_t value = 0;
    size_t shift = 0;
    for (const std::byte byte : take(size)) {
      value |= std::to_integer<uint64_t>(byte) << shift;
      shift += 8;
    }
    return value;
  }

  std::string_view take_text(uint64_t count) {
    const auto bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  std::string_view take_line() {
    const size_t limit = std::min(bytes_.size() - at_, kMaxNameLength);
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, limit);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) refuse("a name does not end");
    at_ += end + 1;
    return rest.substr(0, end);
  }

  // --- Stack and values ----------------------------------------------------------------------

  void push(uint32_t id) { stack_.push_back(id); }

  void push_new(Value value) {
    if (values_.size() >= kMaxValues) refuse("holds more than 1000000 objects");
    values_.push_back(std::move(value));
    push(static_cast<uint32_t>(values_.size() - 1));
  }

  void push_number(Kind kind, int64_t number) { push_new({kind, number, {}, {}, nullptr}); }
  void push_text(Kind kind, std::string_view text) { push_new({kind, 0, text, {}, nullptr}); }

  /// Lowest stack position that may be taken: nothing below the last mark is.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  uint32_t top() const {
    if (stack_.size() <= floor()) refuse("takes from an empty stack");
    return stack_.back();
  }

  uint32_t pop() {
    const uint32_t id = top();
    stack_.pop_back();
    return id;
  }

  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) refuse("has no mark to go back to");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<uint32_t> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }

  void push_tuple(size_t count) {
    Value tuple{Kind::kTuple, 0, {}, std::vector<uint32_t>(count), nullptr};
    for (size_t i = count; i-- > 0;) tuple.items[i] = pop();
    push_new(std::move(tuple));
  }

  Value& value(uint32_t id) { return values_[id]; }

  Value& expect(uint32_t id, Kind kind, const char* what) {
    if (values_[id].kind != kind) refuse(std::string("expected ") + what);
    return values_[id];
  }

  void extend(uint32_t target, Kind kind, const std::vector<uint32_t>& items) {
    Value& list = expect(target, kind, kind == Kind::kDict ? "a dictionary" : "a list");
    if (kind == Kind::kDict && items.size() % 2 != 0)
      refuse("a dictionary's last value is missing");
    list.items.insert(list.items.end(), items.begin(), items.end());
  }

  /// The same for what an inert object was given: dropped.
  bool is_inert(uint32_t id) const { return values_[id].kind == Kind::kInert; }

  void memoize(uint64_t key) { memo_[key] = top(); }

  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    if (found == memo_.end())
      refuse("refers to memo " + std::to_string(key) + ", which is not set");
    push(found->second);
  }

  // --- Opcodes -------------------------------------------------------------------------------

  /// Executes one opcode; false after STOP.
  bool step() {
    start_ = at_;
    const auto code = static_cast<uint8_t>(take_number(1));
    switch (code) {
      case kStop:
        return false;
      case kProto:
        if (const uint64_t protocol = take_number(1); protocol < 2 || protocol > 5) {
          refuse("pickle protocol " + std::to_string(protocol) + " is not supported");
        }
        return true;
      case kFrame:
        take_number(8);
        return true;
      case kMark:
        marks_.push_back(stack_.size());
        return true;
      case kPop:
        pop();
        return true;
      case kPopMark:
        pop_to_mark();
        return true;
      case kDup:
        push(top());
        return true;
      default:
        if (!step_literal(code) && !step_container(code) && !step_object(code)) {
          refuse("pickle opcode " + std::to_string(code) + " does not occur in state dicts");
        }
        return true;
    }
  }

  bool step_literal(uint8_t code) {
    switch (code) {
      case kNoneValue:
        push_number(Kind::kNone, 0);
        return true;
      case kNewTrue:
      case kNewFalse:
        push_number(Kind::kBool, code == kNewTrue ? 1 : 0);
        return true;
      case kBinInt:
        push_number(Kind::kInteger, static_cast<int32_t>(take_number(4)));
        return true;
      case kBinInt1:
        push_number(Kind::kInteger, static_cast<int64_t>(take_number(1)));
        return true;
      case kBinInt2:
        push_number(Kind::kInteger, static_cast<int64_t>(take_number(2)));
        return true;
      case kLong1:
        push_number(Kind::kInteger, take_long());
        return true;
      case kBinFloat:
        take(8);
        push_number(Kind::kFloat, 0);
        return true;
      case kShortBinUnicode:
      case kShortBinString:
        push_text(Kind::kText, take_text(take_number(1)));
        return true;
      case kBinUnicode:
      case kBinString:
        push_text(Kind::kText, take_text(take_number(4)));
        return true;
      case kBinUnicode8:
        push_text(Kind::kText, take_text(take_number(8)));
        return true;
      case kShortBinBytes:
        push_text(Kind::kBytes, take_text(take_number(1)));
        return true;
      case kBinBytes:
        push_text(Kind::kBytes, take_text(take_number(4)));
        return true;
      case kBinBytes8:
      case kByteArray8:
        push_text(Kind::kBytes, take_text(take_number(8)));
        return true;
      case kLong4:
        take(take_number(4));  // too large for any size; as after random.getstate()
        push_number(Kind::kInert, 0);
        return true;
      default:
        return false;
    }
  }

  int64_t take_long() {
    const uint64_t size = take_number(1);
    if (size > 8) refuse("holds an integer of more than 64 bits");
    if (size == 0) return 0;
    uint64_t bits = take_number(size);
    const auto unused = static_cast<unsigned>(64 - 8 * size);
    bits <<= unused;
    return static_cast<int64_t>(bits) >> unused;  // extends the sign
  }

  bool step_container(uint8_t code) {
    switch (code) {
      case kEmptyTuple:
        push_tuple(0);
        return true;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        push_tuple(static_cast<size_t>(code - kTuple1) + 1);
        return true;
      case kTupleMark:
        push_new({Kind::kTuple, 0, {}, pop_to_mark(), nullptr});
        return true;
      case kEmptyList:
        push_number(Kind::kList, 0);
        return true;
      case kEmptyDict:
        push_number(Kind::kDict, 0);
        return true;
      case kAppend: {
        const uint32_t item = pop();
        if (!is_inert(top())) extend(top(), Kind::kList, {item});
        return true;
      }
      case kAppends: {
        const auto items = pop_to_mark();
        if (!is_inert(top())) extend(top(), Kind::kList, items);
        return true;
      }
      case kSetItem: {
        const uint32_t item = pop();
        const uint32_t key = pop();
        if (!is_inert(top())) extend(top(), Kind::kDict, {key, item});
        return true;
      }
      case kSetItems: {
        const auto items = pop_to_mark();
        if (!is_inert(top())) extend(top(), Kind::kDict, items);
        return true;
      }
      case kEmptySet:
        push_number(Kind::kInert, 0);
        return true;
      case kAddItems:
        pop_to_mark();
        expect(top(), Kind::kInert, "a set");
        return true;
      case kFrozenSet:
        pop_to_mark();
        push_number(Kind::kInert, 0);
        return true;
      default:
        return false;
    }
  }

  bool step_object(uint8_t code) {
    switch (code) {
      case kBinPut:
        memoize(take_number(1));
        return true;
      case kLongBinPut:
        memoize(take_number(4));
        return true;
      case kMemoize:
        memoize(memo_.size());
        return true;
      case kBinGet:
        recall(take_number(1));
        return true;
      case kLongBinGet:
        recall(take_number(4));
        return true;
      case kGlobalName: {
        const std::string_view module = take_line();
        push_global(module, take_line());
        return true;
      }
      case kStackGlobal: {
        const std::string_view name = expect(pop(), Kind::kText, "a class name").text;
        const std::string_view module = expect(pop(), Kind::kText, "a module name").text;
        push_global(module, name);
        return true;
      }
      case kBinPersId:
        push_storage(pop());
        return true;
      case kReduce: {
        const uint32_t tuple = pop();
        reduce(pop(), tuple);
        return true;
      }
      case kBuild: {
        // Attributes of a dictionary (torch's _metadata) or of settings; they do not matter here.
        pop();
        if (!is_inert(top())) expect(top(), Kind::kDict, "a dictionary to set attributes of");
        return true;
      }
      case kNewObjectEx:
        pop();
        [[fallthrough]];
      case kNewObject: {
        pop();
        make_object(pop());
        return true;
      }
      default:
        return false;
    }
  }

  // --- Objects -------------------------------------------------------------------------------

  void push_global(std::string_view module, std::string_view name) {
    const Global* global = find_global(module, name);
    if (global == nullptr) refuse_global(module, name);
    names_globals_ = true;
    push_new({Kind::kGlobal, 0, {}, {}, global});
  }

  [[noreturn]] void refuse_global(std::string_view module, std::string_view name) const {
    const std::string full = printable(module) + "." + printable(name);
    if (name == "_rebuild_qtensor") {
      refuse("holds quantised tensors (" + full +
             "); export the checkpoint as it was before it was quantised");
    }
    // torch.save(model) pickles the model's own class before anything else.
    refuse("names " + full + ", which no state dict needs; nothing of it was executed. " +
           (names_globals_ ? "" : "It seems to be a whole pickled model or other object. ") +
           "Save the state dict alone: torch.save(model.state_dict(), FILE)");
  }

  /// An object of a class, its arguments dropped.
  void make_object(uint32_t type) {
    const Global* global = expect(type, Kind::kGlobal, "a class").global;
    const bool dictionary =
        global->callable == Callable::kOrderedDict || global->callable == Callable::kDefaultDict;
    if (!dictionary && global->callable != Callable::kInert) {
      refuse(printable(global->module) + "." + printable(global->name) + " cannot be made");
    }
    push_number(dictionary ? Kind::kDict : Kind::kInert, 0);
  }

  /// A copy of a short tuple. Its length is checked first: a long one could be named many times.
  std::vector<uint32_t> arguments(uint32_t id, const char* what) {
    const Value& tuple = expect(id, Kind::kTuple, what);
    if (tuple.items.size() > kMaxArguments) refuse(std::string("too many values in ") + what);
    return tuple.items;
  }

  /// ("storage", class, key, device, element count): torch/serialization.py, persistent_id.
  void push_storage(uint32_t id) {
    const std::vector<uint32_t> items = arguments(id, "the description of a storage");
    if (items.size() != 5 || value(items[0]).kind != Kind::kText ||
        value(items[0]).text != "storage") {
      refuse("expected the description of a storage");
    }
    const Global* type = expect(items[1], Kind::kGlobal, "the class of a storage").global;
    if (type->callable != Callable::kStorage) refuse("expected the class of a storage");
    Storage storage{type, expect(items[2], Kind::kText, "the key of a storage").text, 0};
    const int64_t count = expect(items[4], Kind::kInteger, "the size of a storage").number;
    const auto bytes =
        count < 0 ? std::nullopt : checked_mul(static_cast<uint64_t>(count), type->item_size);
    if (!bytes) refuse("a storage has an impossible size of " + std::to_string(count));
    storage.bytes = *bytes;
    storages_.push_back(storage);
    push_number(Kind::kStorage, static_cast<int64_t>(storages_.size() - 1));
  }

  void reduce(uint32_t function, uint32_t tuple) {
    const Global* global = expect(function, Kind::kGlobal, "a function to call").global;
    if (global->callable == Callable::kInert || global->callable == Callable::kDefaultDict) {
      expect(tuple, Kind::kTuple, "the arguments of a call");
      return make_object(function);
    }
    const std::vector<uint32_t> items = arguments(tuple, "the arguments of a call");
    switch (global->callable) {
      case Callable::kOrderedDict:
        if (!items.empty()) refuse("collections.OrderedDict is called with arguments");
        push_number(Kind::kDict, 0);
        return;
      case Callable::kRebuildV2:
        if (items.size() < 6 || items.size() > 7) refuse("_rebuild_tensor_v2 needs 6 arguments");
        push_tensor(items, nullptr);
        return;
      case Callable::kRebuildV3: {
        if (items.size() < 7 || items.size() > 8) refuse("_rebuild_tensor_v3 needs 7 arguments");
        const Global* dtype = expect(items[6], Kind::kGlobal, "a dtype").global;
        if (dtype->callable != Callable::kDType) refuse("expected a dtype");
        push_tensor(items, dtype);
        return;
      }
      case Callable::kParameter:
        if (items.empty()) refuse("_rebuild_parameter needs a tensor");
        expect(items[0], Kind::kTensor, "a tensor");
        push(items[0]);
        return;
      case Callable::kFromType: {
        // (function, class, arguments, state): a tensor with attributes of its own.
        if (items.size() != 4) refuse("_rebuild_from_type_v2 needs 4 arguments");
        const Global* inner = expect(items[0], Kind::kGlobal, "a function to call").global;
        if (inner->callable == Callable::kFromType) refuse("calls itself");
        return reduce(items[0], items[2]);
      }
      case Callable::kStorage:
      case Callable::kDType:
      case Callable::kDefaultDict:
      case Callable::kInert:
        break;
    }
    refuse(printable(global->module) + "." + printable(global->name) + " cannot be called");
  }

  std::vector<int64_t> sizes(uint32_t id, const char* what) {
    const auto& items = expect(id, Kind::kTuple, what).items;
    if (items.size() > kMaxRank) refuse("a tensor has more than 16 dimensions");
    std::vector<int64_t> result;
    for (const uint32_t item : items) {
      result.push_back(expect(item, Kind::kInteger, what).number);
      if (result.back() < 0) {
        refuse(std::string("a tensor has a negative number in ") + what + ": " +
               std::to_string(result.back()));
      }
    }
    return result;
  }

  /// (storage, offset, size, stride, ...); `dtype` says the type of an untyped storage.
  void push_tensor(const std::vector<uint32_t>& items, const Global* dtype) {
    const auto index = expect(items[0], Kind::kStorage, "a storage").number;
    const Storage& storage = storages_[static_cast<size_t>(index)];
    const Global* type = dtype != nullptr ? dtype : storage.type;
    if (type->dtype_name.empty()) refuse("a tensor's storage has no type");
    PickledTensor tensor;
    tensor.dtype_name = type->dtype_name;
    tensor.dtype = type->dtype;
    tensor.item_size = type->item_size;
    tensor.storage_key = printable(storage.key);
    tensor.storage_bytes = storage.bytes;
    tensor.offset = expect(items[1], Kind::kInteger, "a storage offset").number;
    if (tensor.offset < 0) refuse("a tensor has a negative storage offset");
    tensor.shape = sizes(items[2], "a shape");
    tensor.strides = sizes(items[3], "strides");
    if (tensor.shape.size() != tensor.strides.size()) {
      refuse("a tensor has " + std::to_string(tensor.shape.size()) + " dimensions and " +
             std::to_string(tensor.strides.size()) + " strides");
    }
    if (tensors_.size() >= kMaxTensors) refuse("holds more than 100000 tensors");
    tensors_.push_back(std::move(tensor));
    push_number(Kind::kTensor, static_cast<int64_t>(tensors_.size() - 1));
  }

  std::span<const std::byte> bytes_;
  const std::string& where_;
  size_t at_ = 0;
  size_t start_ = 0;  // of the current opcode
  std::vector<Value> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
  std::vector<Storage> storages_;
  std::vector<PickledTensor> tensors_;
  bool names_globals_ = false;  // something that is known was named before
};

}  // namespace
}  // namespace pickle

std::vector<PickledTensor> unpickle_state_dict(std::span<const std::byte> bytes,
                                               const std::string& where,
                                               std::vector<std::string>* notes) {
  pickle::StateDict found = pickle::Machine(bytes, where).run();
  if (notes != nullptr && !found.note.empty()) notes->push_back(where + ": " + found.note);
  return std::move(found.tensors);
}

}  // namespace sam3trt
