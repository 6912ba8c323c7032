-- The list of servers: checked, kept in a file, and handed to all workers.
local cjson = require "cjson.safe"
local memory = require "balancer.memory"

local _M = {
    -- What this worker balances over.
    count = 0, addresses = {}, ports = {}, slots = {}, limits = {}, version = -1,
}

local dict = ngx.shared.balancer
local MOST = 500
local SHOWN = 60

-- Debian's cjson knows no empty list: decoded, it is the same as an empty object, and it is written as one.
local function is_list(value, text)
    return type(value) == "table" and (#value > 0 or next(value) == nil and text:find('"servers"%s*:%s*%[') ~= nil)
end

-- `list` as JSON.
function _M.encode(list)
    local parts = {}
    for position, each in ipairs(list) do
        parts[position] = cjson.encode(each)
    end
    return "[" .. table.concat(parts, ",") .. "]"
end

local function is_whole(value, least, most)
    return type(value) == "number" and value % 1 == 0 and value >= least and value <= most
end

local function is_ipv4(value)
    if type(value) ~= "string" then
        return false
    end
    local parts = { value:match("^(%d+)%.(%d+)%.(%d+)%.(%d+)$") }
    for _, part in ipairs(parts) do
        if tonumber(part) > 255 or (#part > 1 and part:sub(1, 1) == "0") then
            return false
        end
    end
    return #parts == 4
end

-- The servers that `text` lists, or nil and what is wrong with it.
function _M.parse(text)
    local document, problem = cjson.decode(text)
    if problem then
        return nil, "not JSON: " .. problem
    end
    if type(document) ~= "table" or not is_list(document.servers, text) then
        return nil, 'not a list of servers: {"servers": [{"id": ..., "address": ..., "port": ...}, ...]}'
    end
    local list, seen = {}, {}
    if #document.servers > MOST then
        return nil, #document.servers .. " servers: at most " .. MOST .. " are taken"
    end
    for position, each in ipairs(document.servers) do
        local where = "servers[" .. position - 1 .. "]: "
        if type(each) ~= "table" or type(each.id) ~= "string" or each.id == "" then
            return nil, where .. "no id"
        end
        where = where .. each.id .. ": "
        if seen[each.id] then
            return nil, where .. "listed twice"
        end
        seen[each.id] = true
        if not is_ipv4(each.address) then
            return nil, where .. "address: not an IPv4 address"
        end
        if not is_whole(each.port, 1, 65535) then
            return nil, where .. "port: not a whole number from 1 to 65535"
        end
        local limit = each.max_conns == nil and 0 or each.max_conns
        if not is_whole(limit, 0, 1000000) then
            return nil, where .. "max_conns: not a whole number from 0 (no limit) to 1000000"
        end
        list[position] = { id = each.id, address = each.address, port = each.port, max_conns = limit }
    end
    return list
end

-- The list as all workers have it: `servers`, and `leaving` with the time `since` when each left.
function _M.state()
    return cjson.decode(dict:get("list") or '{"servers":[],"leaving":[]}')
end

local function save(path, list)
    local partial = path .. ".partial"
    local file, problem = io.open(partial, "w")
    if file then
        local written
        written, problem = file:write('{"servers":', _M.encode(list), "}\n")
        file:close()
        if written then
            written, problem = os.rename(partial, path)
        end
        if written then
            return
        end
    end
    -- Nginx goes on with the new list; after a restart it would have the old one, until it is told again.
    ngx.log(ngx.ERR, "the list of servers can't be kept: ", problem)
end

local function name(server)
    return server.id .. " " .. server.address .. ":" .. server.port
end

-- Whether a server that left is still told of: for a minute, and as long as it has requests in flight.
function _M.is_shown(gone, at)
    return at - gone.since < SHOWN or memory.in_flight(gone.slot) > 0
end

-- Have every worker balance over `list`. One that is new starts slowly, unless there is no other to spare it.
local function put(list)
    memory.locked(function()
        local before, now = _M.state(), ngx.now()
        -- By name: the servers of old, those included that left and are still of interest.
        local known, used = {}, {}
        for _, each in ipairs(before.leaving) do
            if _M.is_shown(each, now) then
                known[name(each)], used[each.slot] = each, true
            end
        end
        for _, each in ipairs(before.servers) do
            known[name(each)], used[each.slot] = each, true
        end
        local free = 0
        for _, each in ipairs(list) do
            local old = known[name(each)]
            known[name(each)] = nil
            if old then
                each.slot = old.slot
            else
                while used[free] do
                    free = free + 1
                end
                if free >= memory.SLOTS then
                    error("too many servers come and go: no slot is free")
                end
                each.slot, used[free] = free, true
                memory.clear(free)
            end
            if not old or old.since then
                memory.renew(each.slot, #before.servers == 0 and 0 or now)
            end
        end
        local leaving = {}
        for _, each in pairs(known) do
            each.since = each.since or now
            leaving[#leaving + 1] = each
        end
        dict:set("list", '{"servers":' .. _M.encode(list) .. ',"leaving":' .. _M.encode(leaving) .. "}")
        memory.shared.version = memory.shared.version + 1
    end)
end

function _M.put(list, path)
    local plain = {}
    for position, each in ipairs(list) do
        plain[position] = { id = each.id, address = each.address, port = each.port, max_conns = each.max_conns }
    end
    put(list)
    save(path, plain)
end

-- In the master: the list that was kept, unless this is a reload and the workers have one.
function _M.restore(path)
    if dict:get("list") then
        return
    end
    local file = io.open(path)
    local list, problem = {}, nil
    if file then
        list, problem = _M.parse(file:read("*a"))
        file:close()
        if problem then
            ngx.log(ngx.ERR, path, ": ", problem, "; starting with no server")
        end
    end
    put(list or {})
end

-- In a worker: take over what the others were given.
function _M.load()
    _M.version = memory.shared.version
    local addresses, ports, slots, limits = {}, {}, {}, {}
    local state = _M.state()
    for position, each in ipairs(state.servers) do
        addresses[position], ports[position] = each.address, each.port
        slots[position], limits[position] = each.slot, each.max_conns
    end
    _M.addresses, _M.ports, _M.slots, _M.limits = addresses, ports, slots, limits
    _M.count = #state.servers
end

return _M
