-- Health of Algorithm, AlgorithmJob, DataStore and ImageImport, from their conditions.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end

local function is_true(kind)
  return conditions[kind] ~= nil and conditions[kind].status == "True"
end

local function health(word, kind)
  local condition = conditions[kind] or {}
  local message = condition.message or ""
  if message == "" then
    message = status.message or condition.reason or ""
  end
  return {status = word, message = message}
end

-- A verdict is final: a later edit (ttlSecondsAfterFinished) raises the generation, but nothing runs again.
if is_true("Failed") then
  return health("Degraded", "Failed")
end
if is_true("Complete") then
  return health("Healthy", "Complete")
end
if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "The operator has not seen this generation yet"}
end
if is_true("Suspended") then
  return health("Suspended", "Suspended")
end
if is_true("Stalled") then
  return health("Degraded", "Stalled")
end
if is_true("Ready") then
  return health("Healthy", "Ready")
end
for _, kind in ipairs({"Ready", "Accepted", "Scheduled"}) do
  if conditions[kind] ~= nil and conditions[kind].status ~= "True" then
    return health("Progressing", kind)
  end
end
return {status = "Progressing", message = status.message or status.state or ""}
